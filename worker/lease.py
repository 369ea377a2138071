"""A slot's hold on what it claimed: renewed by heartbeats, given up before it can be lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from db import owner
from db.errors import FencedOff
from db.states import Wish
from worker.database_access import DatabaseAccess, DatabaseAway
from worker.guards import Guards

logger = logging.getLogger(__name__)

# Rings come with every submission of everybody; they may not each cost a heartbeat.
SHORTEST_BEAT_S = 0.5
RETRY_S = 1.0

Progress = tuple[float, float, str]


class LeaseKeeper:
    """The heartbeats of one lease.

    Every success moves the guards' deadline to a little before the lease's end, counted from before
    the transaction began: so the runner is held still earlier than anybody may take the lease.
    """

    def __init__(
        self,
        database: DatabaseAccess,
        guards: Guards,
        lease_id: int,
        fences: Mapping[int, int],
        claimed_at_s: float,
        ttl_s: float,
        beat_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._guards = guards
        self._lease_id = lease_id
        self._fences = dict(fences)
        self._ttl_s = ttl_s
        self._beat_s = beat_s
        self._clock = clock
        self._beaten_at_s = claimed_at_s
        self._due_s = claimed_at_s + beat_s
        self.alive: frozenset[int] = frozenset(fences)
        self.to_cancel: frozenset[int] = frozenset()
        self.wishes: Mapping[int, Wish] = {}
        self.was_suspended = guards.renew_lease(self._deadline(claimed_at_s))

    @property
    def due_in_s(self) -> float:
        """Seconds until the next heartbeat; not negative."""
        return max(0.0, self._due_s - self._clock())

    def hurry(self) -> None:
        """Beat soon: somebody rang."""
        self._due_s = min(self._due_s, self._beaten_at_s + SHORTEST_BEAT_S)

    def forget(self, trial: int) -> None:
        """This trial is answered: it needs no lease any more."""
        self._fences.pop(trial, None)

    def beat_if_due(self, progress: Mapping[int, Progress]) -> bool:
        """Beat when it is time. True after a beat.

        `alive`, `to_cancel`, `wishes` and `was_suspended` are new then.
        With the database away the next try comes soon, and the guards' deadline comes nearer.
        """
        if not self._fences or self.due_in_s > 0:
            return False
        began_s = self._clock()
        try:
            answer = self._database.write(
                lambda session: owner.heartbeat(
                    session, self._lease_id, self._fences, self._ttl_s, progress
                )
            )
        except DatabaseAway:
            self._due_s = self._clock() + min(RETRY_S, self._beat_s)
            return False
        except FencedOff:
            self.alive = frozenset()
            self._due_s = began_s + self._beat_s
            return True
        self.alive = frozenset(answer.alive)
        self.to_cancel = frozenset(answer.cancel)
        self.wishes = dict(answer.wishes)
        self._beaten_at_s = began_s
        self._due_s = began_s + self._beat_s
        if self.alive and self._guards.renew_lease(self._deadline(began_s)):
            self.was_suspended = True
        return True

    def end(self) -> bool:
        """Nothing is left to hold. True when the runner was held still meanwhile, and still is."""
        return self._guards.end_lease()

    def _deadline(self, began_s: float) -> float:
        # Time for the kernel to stop every process of the group, and for clocks that drift.
        return began_s + self._ttl_s - min(5.0, 0.2 * self._ttl_s)
