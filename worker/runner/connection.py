"""A runner's end of the socket to its slot."""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from collections.abc import Callable

from worker.protocol import (
    Bye,
    Cancel,
    FromRunner,
    LineBuffer,
    ProtocolError,
    Run,
    encode,
    parse_from_slot,
)

SLOT_GONE = 3
"""Exit status when the slot closed its end or spoke nonsense: nobody is left to tell."""
READ_BYTES = 65536


def end_process() -> None:
    """What a runner does without a slot. Not sys.exit: the main thread may be inside a C call."""
    os._exit(SLOT_GONE)


class Connection:
    """Sends from any thread; a reading thread takes in runs and, while one goes on, cancels."""

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None] = end_process) -> None:
        """`on_lost` is called, from whichever thread notices, when the slot is gone."""
        sock.setblocking(True)
        self._socket = sock
        self._on_lost = on_lost
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Run | Bye] = queue.SimpleQueue()
        self._cancelled: set[tuple[int, int]] = set()
        threading.Thread(target=self._read, name="slot reader", daemon=True).start()

    def send(self, message: FromRunner) -> None:
        """Send one message. A slot that is gone hears nothing."""
        line = encode(message)
        try:
            with self._sending:
                self._socket.sendall(line)
        except OSError:
            self._on_lost()

    def next(self) -> Run | Bye:
        """Wait for what the slot wants next."""
        return self._inbox.get()

    def is_cancelled(self, trial: int, fence: int) -> bool:
        """Whether the slot has asked for an end to this claim of the trial."""
        return (trial, fence) in self._cancelled

    def forget(self, trial: int, fence: int) -> None:
        """The trial was answered: a cancel of it means nothing any more."""
        self._cancelled.discard((trial, fence))

    def _read(self) -> None:
        buffer = LineBuffer()
        try:
            while data := self._socket.recv(READ_BYTES):
                for line in buffer.feed(data):
                    self._take(line)
        except (OSError, ProtocolError) as error:
            sys.stderr.write(f"the slot cannot be understood: {error}\n")
        self._on_lost()

    def _take(self, line: bytes) -> None:
        message = parse_from_slot(line)
        if isinstance(message, Cancel):
            self._cancelled.add((message.trial, message.fence))
        else:
            self._inbox.put(message)
