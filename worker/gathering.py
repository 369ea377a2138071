"""What several trials of a lease have brought by now, stored in one go.

Nobody waits for more to come: while one batch becomes durable the next one grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from db.errors import FencedOff
from worker.guards import Breach
from worker.holding import Holding
from worker.protocol import Apart, Artifact, Cancelled, Checkpoint, Failed, Idle
from worker.watch import Ended, Item

MOST_WRITES: Final = 256
MOST_ITEMS: Final = 500
LONGEST_S: Final = 0.2
"""A runner that never stops talking must not keep its slot from heartbeats."""
MOST_BYTES: Final = 256 * 2**20
"""Of the files of one batch: nothing else is done until they are in the store."""
# Before these, what waits is stored: they may settle a trial at once.
_ON_THEIR_OWN = (Failed, Cancelled, Apart, Idle, Breach, Ended)


class Gathering:
    """A lease's writes, gathered; what comes of them is dealt with here."""

    def __init__(self, holding: Holding, after: Callable[[], None]) -> None:
        """``after`` is called when something was stored, or refused."""
        self._holding, self._writer, self._after = holding, holding.writer, after
        self._clock = holding.host.clock
        self._bytes = 0
        self._checkpoints: set[int] = set()

    @contextmanager
    def open(self) -> Iterator[None]:
        """What is written inside is stored at its end."""
        self._writer.gathering = True
        try:
            yield
            self.store()
        finally:
            self._writer.gathering = False

    def take(self, first: Item | None, take: Callable[[Item | None], None]) -> None:
        """Let ``take`` hear this and what waits behind it."""
        item, until_s = first, self._clock() + LONGEST_S
        with self.open():
            for _ in range(MOST_ITEMS):
                alone = isinstance(item, _ON_THEIR_OWN)
                if alone:
                    self.store()
                self._make_room(item)
                self._writer.gathering = not alone
                take(item)
                if self._writer.waiting >= MOST_WRITES or self._clock() >= until_s:
                    break
                item = self._holding.runner.receive(0)
                if item is None:
                    break

    def store(self) -> None:
        """Store what waits. A trial that is somebody else's drops out; the others' is stored."""
        self._bytes = 0
        self._checkpoints.clear()
        if not self._writer.waiting:
            return
        holding = self._holding
        failed = self._writer.store_gathered()
        for attempt in holding.open:
            error = failed.get(attempt.trial)
            if isinstance(error, FencedOff):
                holding.lose(attempt, error)
            elif error is not None:
                holding.refuse(str(error))
        self._after()

    def _make_room(self, item: Item | None) -> None:
        """Store what waits when this file does not go with it."""
        if not isinstance(item, Checkpoint | Artifact):
            return
        # After a COMMIT without an answer, a curve's last points tell whether it was done: each
        # batch has one part of a curve.
        again = isinstance(item, Checkpoint) and item.trial in self._checkpoints
        if again or self._bytes + item.bytes > MOST_BYTES:
            self.store()
        self._bytes += item.bytes
        if isinstance(item, Checkpoint):
            self._checkpoints.add(item.trial)
