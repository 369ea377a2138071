"""One thread looks at the database while anybody listens; every listener hears of its topics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from sqlalchemy.exc import SQLAlchemyError

from api.stream.topics import Changes, Topics
from db.reads.changes import Position

log = logging.getLogger("labpool.api.stream")

LOOK_EVERY_S = 1.0
CHECK_TOKENS_EVERY = 5
FAILURES_TO_END = 3
# Going from page to page closes one stream and opens another: the thread stays for that.
LINGER_S = 10.0

End = Literal["access", "stopping", "trouble"]


class Full(Exception):
    """As many streams are open as may be."""


class Looking(Protocol):
    """What the hub's thread uses; see `api.stream.reader.Reader`."""

    @property
    def position(self) -> Position: ...
    def look(self) -> Changes: ...
    def valid(self, token_ids: Collection[int]) -> set[int]: ...


class Subscription:
    """One listener. Made by `Hub.subscribe`; `close` must be called, once or more often."""

    def __init__(self, hub: Hub, topics: Topics, token_id: int) -> None:
        self.topics = topics
        self.token_id = token_id
        self.ended: End | None = None
        self.news: set[str] = set()
        self._hub = hub

    def wait(self, timeout_s: float) -> frozenset[str]:
        """The topics with news since the last call; empty when none came in time."""
        return self._hub.wait(self, timeout_s)

    def close(self) -> None:
        """Listen no more."""
        self._hub.leave(self)


class Hub:
    """The listeners of this process, and the one thread that looks for them."""

    def __init__(
        self, begin: Callable[[], Looking], most: int, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        """`begin` takes the first look; `most` listeners may be there at once."""
        self._begin = begin
        self._most = most
        self._look_every_s = look_every_s
        self._changed = threading.Condition()
        self._listeners: set[Subscription] = set()
        self._thread: threading.Thread | None = None
        self._position: Position | None = None
        self._is_stopping: Callable[[], bool] = lambda: False

    @property
    def position(self) -> Position | None:
        """What has been told; None before the first look."""
        return self._position

    @property
    def count(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def stop_when(self, is_stopping: Callable[[], bool]) -> None:
        """End every stream as soon as this is true: the server shuts down."""
        self._is_stopping = is_stopping

    def subscribe(self, topics: Topics, token_id: int) -> Subscription:
        """A place among the listeners. Raises Full."""
        listener = Subscription(self, topics, token_id)
        with self._changed:
            if len(self._listeners) >= self._most or self._is_stopping():
                raise Full
            self._listeners.add(listener)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="labpool-changes", daemon=True
                )
                self._thread.start()
        return listener

    def leave(self, listener: Subscription) -> None:
        with self._changed:
            self._listeners.discard(listener)

    def wait_for_first_look(self, timeout_s: float) -> bool:
        """Whether the thread has looked once: from then on nothing is missed."""
        with self._changed:
            return self._changed.wait_for(lambda: self._position is not None, timeout_s)

    def wait(self, listener: Subscription, timeout_s: float) -> frozenset[str]:
        with self._changed:
            self._changed.wait_for(lambda: bool(listener.news or listener.ended), timeout_s)
            if self._is_stopping() and listener.ended is None:
                listener.ended = "stopping"
            found = frozenset(listener.news)
            listener.news.clear()
            return found

    def publish(self, changes: Changes, position: Position) -> None:
        """Tell everybody whom it concerns."""
        with self._changed:
            self._position = position
            for listener in self._listeners:
                listener.news |= listener.topics.of(changes)
            self._changed.notify_all()

    def _end(self, listeners: Collection[Subscription], reason: End) -> None:
        with self._changed:
            for listener in listeners:
                listener.ended = reason
                self._listeners.discard(listener)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._look_until_nobody_listens()
        except Exception as error:
            # The listeners come back, meet the same trouble, and their pages say so.
            log.error("no more changes: %s", error.__class__.__name__, exc_info=error)
            self._give_up("trouble")

    def _give_up(self, reason: End) -> None:
        with self._changed:
            self._thread, self._position = None, None
        self._end(list(self._listeners), reason)

    def _look_until_nobody_listens(self) -> None:
        looking = self._begin()
        self.publish(Changes(), looking.position)
        failures, turn, alone_since_s = 0, 0, time.monotonic()
        while True:
            time.sleep(self._look_every_s)
            if self._is_stopping():
                self._give_up("stopping")
                return
            if self._listeners:
                alone_since_s = time.monotonic()
            elif self._retired(alone_since_s):
                return
            turn += 1
            try:
                self.publish(looking.look(), looking.position)
                if turn % CHECK_TOKENS_EVERY == 0:
                    self._drop_signed_out(looking)
                failures = 0
            except (SQLAlchemyError, OSError):
                failures += 1
                if failures >= FAILURES_TO_END:
                    raise

    def _retired(self, alone_since_s: float) -> bool:
        with self._changed:
            if self._listeners or time.monotonic() - alone_since_s < LINGER_S:
                return False
            self._thread, self._position = None, None
            return True

    def _drop_signed_out(self, looking: Looking) -> None:
        listeners = list(self._listeners)
        valid = looking.valid({listener.token_id for listener in listeners})
        self._end([one for one in listeners if one.token_id not in valid], "access")
