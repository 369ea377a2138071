"""Looks at the database and says what changed since it looked last."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from api.stream.topics import Changes
from db.engine import Database
from db.reads import changes as reads
from db.reads.changes import News, Position, Touched

# Where one looks again for events that were numbered before others and committed after them.
_LOOK_BACK = 100
GAP_PATIENCE_S = 30.0


class EventOrder:
    """Which events are new, though a lower number may become visible after a higher one.

    Postgres hands out ids before the transactions commit. So all events above the first gap are
    read again until the gap is filled, or so old that its transaction must have failed.
    """

    def __init__(self, seen: Collection[int], floor: int, clock: Callable[[], float]) -> None:
        self.floor = floor
        self._seen = {row_id for row_id in seen if row_id > floor}
        self._clock = clock
        self._gap_since_s: float | None = None
        self._advance()

    def take(self, news: News) -> list[Touched | None]:
        """What the events that were not seen before touched."""
        fresh = [one for row_id, one in news.events.items() if row_id not in self._seen]
        self._seen.update(news.events)
        if not news.complete:
            # A flood: better to miss a straggler than to read the same ones for ever.
            self.floor = max(self._seen)
            self._seen.clear()
        self._advance()
        return fresh

    def _advance(self) -> None:
        before = self.floor
        while self.floor + 1 in self._seen:
            self.floor += 1
            self._seen.discard(self.floor)
        if not self._seen:
            self._gap_since_s = None
            return
        now = self._clock()
        if self.floor != before or self._gap_since_s is None:
            self._gap_since_s = now
        elif now - self._gap_since_s > GAP_PATIENCE_S:
            self.floor = min(self._seen) - 1
            self._gap_since_s = None
            self._advance()


class Reader:
    """The state between two looks; used by one thread."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        """Looks once: what is there now is no news. Raises what the database raises."""
        self._database = database
        with database.snapshot() as session:
            start = reads.position(session)
            floor = max(0, start.event_id - _LOOK_BACK)
            self._order = EventOrder(reads.events_after(session, floor).events, floor, clock)
            self._running = reads.running(session)
            self._pool = reads.pool_state(session)
        self._chunk_id = start.chunk_id

    @property
    def position(self) -> Position:
        """Everything up to here has been told."""
        return Position(self._order.floor, self._chunk_id)

    def look(self) -> Changes:
        """What changed since the last look. Raises what the database raises."""
        with self._database.snapshot() as session:
            end = reads.position(session)
            news = reads.events_after(session, self._order.floor)
            running = reads.running(session)
            pool = reads.pool_state(session)
        happened = frozenset(one for one in self._order.take(news) if one is not None)
        moved = frozenset(one for one, state in running.items() if self._differs(one, state))
        pool_changed = pool != self._pool
        self._running, self._pool, self._chunk_id = running, pool, end.chunk_id
        return Changes(happened, moved, pool_changed)

    def valid(self, token_ids: Collection[int]) -> set[int]:
        """Which of these tokens are still good."""
        with self._database.snapshot() as session:
            return reads.still_valid(session, token_ids)

    def _differs(self, one: Touched, state: tuple[Any, ...]) -> bool:
        return self._running.get(one) != state
