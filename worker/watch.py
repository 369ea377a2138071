"""The thread that reads a runner and holds it to its limits.

It never waits for the database or the artifact store: what it reads goes into an inbox that the
slot's thread empties, and what a limit demands it does itself. So a runner is killed, or held
still, in time even while the slot hangs in a lost connection.
"""

from __future__ import annotations

import logging
import queue
import selectors
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from worker.guards import Breach, Guards
from worker.process import RunnerProcess
from worker.protocol import (
    Checkpoint,
    FromRunner,
    LineBuffer,
    Points,
    Progress,
    ProtocolError,
    Ready,
    Started,
    parse_from_runner,
)

logger = logging.getLogger(__name__)

TICK_S = 0.2
READ_BYTES = 256 * 1024
# A slot that waits for the database takes nothing out; a runner that goes on all the while must
# not fill this process's memory. Beyond this it waits in its own send.
MOST_UNREAD = 2000
LAST_WORDS_S = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """The runner's process ended; nothing more will come from it."""


@dataclass(frozen=True, slots=True)
class Rang:
    """Somebody rang the bell: the lease's owner may have been asked for something."""


Item = FromRunner | Breach | Ended | Rang


class Watch:
    """Reads one runner until it ends; messages, breaches and its end come out of `inbox` in order.

    ``on_end`` is called from the watching thread when the runner has ended.
    """

    def __init__(
        self,
        process: RunnerProcess,
        guards: Guards,
        on_end: Callable[[], None] = lambda: None,
        name: str = "watch",
    ) -> None:
        self.inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._process = process
        self._guards = guards
        self._on_end = on_end
        self._lines = LineBuffer()
        self._broken = False
        self._rung = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def ring(self) -> None:
        """Let the slot's thread know that the bell rang; one `Rang` waits at a time."""
        if not self._rung:
            self._rung = True
            self.inbox.put(Rang())

    def heard(self) -> None:
        """`Rang` was taken out of the inbox: the next ring puts another one in."""
        self._rung = False

    def join(self, timeout_s: float) -> None:
        """Wait for the thread, which ends with the runner."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._watch()
        except Exception:
            # Unwatched is unguarded: no runner may go on like that.
            logger.exception("the watch over runner %d failed; it is killed", self._process.pid)
            self._process.kill()
        finally:
            self.inbox.put(Ended())
            self._on_end()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.socket, selectors.EVENT_READ)
            listening = True
            while not self._process.has_ended():
                full = self.inbox.qsize() >= MOST_UNREAD
                if full:
                    self._guards.excuse()
                if full or not listening:
                    self._process.wait(TICK_S)
                elif selector.select(TICK_S) and not self._read():
                    selector.unregister(self._process.socket)
                    listening = False
                self._check()
            # What was sent just before the end still counts: it may be the result.
            deadline = time.monotonic() + LAST_WORDS_S
            while listening and time.monotonic() < deadline and selector.select(0):
                listening = self._read()

    def _read(self) -> bool:
        """Take in what there is; False at the end of the stream."""
        try:
            data = self._process.socket.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        if self._broken:
            return True
        try:
            for line in self._lines.feed(data):
                self._take(parse_from_runner(line))
        except ProtocolError as error:
            self._broken = True
            self._act(Breach("kill", "internal", f"The runner broke the protocol: {error}"))
        return True

    def _take(self, message: FromRunner) -> None:
        match message:
            case Ready():
                self._guards.ready()
            case Started():
                self._guards.progressed(message.trial, first_batch_done=False)
            case Points() | Progress() | Checkpoint():
                self._guards.progressed(message.trial)
            case _:
                pass
        self.inbox.put(message)

    def _check(self) -> None:
        resident_bytes = 0
        if self._guards.memory_limit_mb is not None:
            with suppress(OSError):
                resident_bytes = self._process.resident_bytes()
        breach = self._guards.check(resident_bytes)
        if breach is not None and not self._broken:
            self._act(breach)

    def _act(self, breach: Breach) -> None:
        if breach.act == "suspend":
            self._process.suspend()
            if not self._guards.is_suspended:
                # The lease was renewed or ended since: who did that has resumed it too early.
                self._process.resume()
        else:
            self._broken = True
            self._process.kill()
        self.inbox.put(breach)
