"""A runner's end of the socket to its slot."""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from worker.protocol import (
    Bye,
    Cancel,
    FromRunner,
    GoOn,
    Kept,
    LineBuffer,
    Pause,
    Predict,
    Progress,
    ProtocolError,
    Run,
    Stop,
    encode,
    parse_from_slot,
)
from worker.protocol.record import OfTrial
from worker.runner.gathered import Gathered

Claimed = tuple[int, int]
"""A trial and its fence: one claim."""
Wish = Literal["pause", "stop"]

SLOT_GONE = 3
"""Exit status when the slot closed its end or spoke nonsense: nobody is left to tell."""
READ_BYTES = 65536
GATHER_S = 0.5
"""Longest that points of curves wait to be sent together."""


def end_process() -> None:
    """What a runner does without a slot. Not sys.exit: the main thread may be inside a C call."""
    os._exit(SLOT_GONE)


class Connection:
    """Sends from any thread; a reading thread takes in runs and what is asked while one goes on.

    Points of curves are sent many at a time, by a thread of their own: those of every trial within
    GATHER_S, and before anything that the slot stores or settles because of them.
    """

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None] = end_process) -> None:
        """`on_lost` is called, from whichever thread notices, when the slot is gone."""
        sock.setblocking(True)
        self._socket = sock
        self._on_lost = on_lost
        self._sending = threading.Lock()
        self._inbox: queue.SimpleQueue[Run | Predict | Bye] = queue.SimpleQueue()
        self._heard = threading.Condition()
        self._cancelled: set[Claimed] = set()
        self._wishes: dict[Claimed, Wish] = {}
        self._kept: dict[Claimed, int] = {}
        self._gathered: dict[Claimed, Gathered] = {}
        self._has_gathered = threading.Event()
        threading.Thread(target=self._send_gathered, name="points", daemon=True).start()
        threading.Thread(target=self._read, name="slot reader", daemon=True).start()

    def send(self, message: FromRunner) -> None:
        """Send one message, after the points gathered so far for its trial.

        A slot that is gone hears nothing.
        """
        with self._sending:
            before: Iterable[FromRunner] = ()
            if isinstance(message, OfTrial) and not isinstance(message, Progress):
                gathered = self._gathered.get((message.trial, message.fence))
                before = gathered.take() if gathered is not None else ()
            self._send_all((*before, message))

    def gather(
        self,
        claimed: Claimed,
        steps: Sequence[int],
        epochs: Sequence[float | None],
        time_s: float,
        values: Mapping[str, Sequence[float]],
        at_once: bool = False,
    ) -> None:
        """Points of curves, as `Gathered.add` takes them; sent soon, or `at_once`."""
        with self._sending:
            gathered = self._gathered.get(claimed)
            if gathered is None:
                gathered = self._gathered[claimed] = Gathered(*claimed)
            gathered.add(steps, epochs, time_s, values)
            if at_once:
                self._send_all(gathered.take())
        if not at_once:
            self._has_gathered.set()

    def next(self) -> Run | Predict | Bye:
        """Wait for what the slot wants next."""
        return self._inbox.get()

    def is_cancelled(self, claimed: Claimed) -> bool:
        """Whether the slot has asked for an end to this claim of a trial."""
        return claimed in self._cancelled

    def wish(self, claimed: Claimed) -> Wish | None:
        """What the slot wants of this claim at the end of its epoch."""
        return self._wishes.get(claimed)

    def wait_until_kept(self, claimed: Claimed, epoch: int, timeout_s: float) -> bool:
        """Wait for the slot to have dealt with a checkpoint; False when the time is up.

        A cancel ends the wait too.
        """

        def dealt_with() -> bool:
            return self._kept.get(claimed, -1) >= epoch or claimed in self._cancelled

        with self._heard:
            return self._heard.wait_for(dealt_with, timeout_s)

    def forget(self, claimed: Claimed) -> None:
        """The trial was answered: what was asked of it means nothing any more."""
        with self._heard:
            self._cancelled.discard(claimed)
            self._wishes.pop(claimed, None)
            self._kept.pop(claimed, None)
        with self._sending:
            self._gathered.pop(claimed, None)

    def _send_gathered(self) -> None:
        while self._has_gathered.wait():
            time.sleep(GATHER_S)
            self._has_gathered.clear()
            with self._sending:
                self._send_all([one for each in self._gathered.values() for one in each.take()])

    def _send_all(self, messages: Iterable[FromRunner]) -> None:
        lines = b"".join(map(encode, messages))
        try:
            if lines:
                self._socket.sendall(lines)
        except OSError:
            self._on_lost()

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
        if isinstance(message, Run | Predict | Bye):
            self._inbox.put(message)
            return
        claimed = (message.trial, message.fence)
        with self._heard:
            match message:
                case Cancel():
                    self._cancelled.add(claimed)
                case Pause() | Stop():
                    self._wishes[claimed] = message.type
                case GoOn():
                    self._wishes.pop(claimed, None)
                case Kept():
                    self._kept[claimed] = message.epoch
            self._heard.notify_all()
