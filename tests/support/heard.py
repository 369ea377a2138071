"""A report with its other end: what a slot would have heard of a trial."""

from __future__ import annotations

import socket
import threading
from typing import Any

from worker.protocol import LineBuffer, parse_from_runner
from worker.runner.connection import Connection
from worker.runner.report import Report


class Slot:
    """The other end of a report: what a slot would have heard."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._lost = threading.Event()
        self._data = b""
        # Read all along: a socket that nobody empties fills up, and its sender waits.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.report = Report(Connection(self._theirs, on_lost=self._lost.set), 1, 1)

    def heard(self, form: type[Any]) -> list[Any]:
        """The messages of one form; nothing can be reported after this."""
        self._theirs.shutdown(socket.SHUT_WR)
        self._reader.join()
        messages = map(parse_from_runner, LineBuffer().feed(self._data))
        return [message for message in messages if isinstance(message, form)]

    def close(self) -> None:
        self._ours.shutdown(socket.SHUT_RDWR)
        assert self._lost.wait(5)
        self._reader.join()
        self._ours.close()
        self._theirs.close()

    def _read(self) -> None:
        while data := self._ours.recv(1 << 16):
            self._data += data
