"""The database as a slot uses it: it may be away for a while, and slots outlive that."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.orm import Session

from db.engine import Database, is_outage
from labpool.errors import LabpoolError

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0


class DatabaseAway(LabpoolError):
    """The database does not answer."""

    permanent = False


class DatabaseAccess:
    """One worker process's way to the database; threads share it.

    An outage shows as `DatabaseAway`, whatever its form. What the database's rules refuse, and what
    is simply wrong, passes through as it is.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        # What was before its time a process cannot know: it may have begun just after an outage.
        self._last_outage_s = clock()
        self._is_away = False
        self._failed_at_s: float | None = None

    def attempt(self, work: Callable[[], T]) -> T:
        """Something with connections of its own. Raises DatabaseAway."""
        with self._noting_outages():
            return work()

    def read(self, work: Callable[[Session], T]) -> T:
        """``work`` in a transaction that only reads. Raises DatabaseAway."""
        with self._noting_outages(), self._database.snapshot() as session:
            return work(session)

    def write(self, work: Callable[[Session], T]) -> T:
        """``work`` in a writing transaction. Raises DatabaseAway.

        An exception around COMMIT does not tell whether it was done: ``work`` must be fenced or
        harmless when repeated.
        """
        with self._noting_outages():
            return self._database.run(work)

    def insist(self, work: Callable[[Session], T], give_up: Callable[[], bool]) -> T:
        """`write`, again and again until it is done. Raises DatabaseAway once ``give_up`` says so.

        ``give_up`` is asked after each failure.
        """
        delay_s = FIRST_DELAY_S
        while True:
            try:
                return self.write(work)
            except DatabaseAway:
                if give_up():
                    raise
            self._sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            delay_s = min(LONGEST_DELAY_S, 2 * delay_s)

    def quiet_for(self, seconds: float) -> bool:
        """Whether this process has been there for so long and has seen no outage.

        An outage expires every lease at once, though nobody died: after one, whoever takes leases
        back must first give every worker the time to renew its own.
        """
        with self._lock:
            return self._clock() - self._last_outage_s >= seconds

    def failed_within(self, seconds: float) -> bool:
        """Whether the database was seen to be away so lately."""
        with self._lock:
            return self._failed_at_s is not None and self._clock() - self._failed_at_s < seconds

    def note_absence(self) -> None:
        """This process itself was held still for long; what happened meanwhile it cannot know."""
        with self._lock:
            self._last_outage_s = self._clock()

    @contextmanager
    def _noting_outages(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_outage(error):
                raise
            self._note(error)
            raise DatabaseAway(_first_line(error)) from error

    def _note(self, error: BaseException) -> None:
        with self._lock:
            now = self._clock()
            if not self._is_away or now - self._last_outage_s > LONGEST_DELAY_S:
                logger.warning("the database is away: %s", _first_line(error))
            self._last_outage_s, self._is_away = now, True
            self._failed_at_s = now


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
