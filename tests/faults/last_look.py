"""Everything that can be asked of a pool, asked once more at the end of a history."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import claims, clock, groups, owner, sweeper, transitions, turns
from db.clock import db_now
from db.errors import FencedOff
from db.fairness import Rules
from db.models import Lease, Trial
from tests.faults import changes, expected
from tests.faults.changes import CHANGES
from tests.faults.comparing import differences
from tests.faults.driven import refusal
from tests.faults.rules import STEPS_S, TTL_S, Holding
from tests.faults.stale import StaleRules, leased
from tests.faults.submitting import MEASURED, sizes

# Each leads on to where few trials are at the end by themselves: delayed, held, let go and running
# after older versions of it were seen, paused, cancelled while it waits and while it runs.
_WAYS = (
    ("claim", "end later"),
    ("wait", "claim", "end release", "ask pause"),
    ("ask resume",),
    ("claim",),
    ("ask pause", "end pause"),
    ("ask resume", "ask cancel"),
    ("claim", "ask cancel"),
)


class LastLook(StaleRules):
    """Asks of the pool as it is left, and of one trial that it leads on from there."""

    def teardown(self) -> None:
        """Look at the pool, then at a trial at the end of each way; at last all fall silent."""
        with self.transaction() as session:
            if not self.rows or list(differences(session, self.pool)):
                return  # a step has failed, and that is what is to be told
            self._look(session, self.pool.trials.values())
            self._look_at_slots(session)
        for steps in _WAYS:
            self._go(steps)
        self._fall_silent()

    def _look(self, session: Session, trials: Collection[expected.Trial]) -> None:
        """What each claim, request and owner's write of these comes to; it is undone."""
        rows = self._versions({trial.id for trial in trials})
        self._look_at_start(session, rows)
        for row in rows:
            for change in CHANGES:
                allowed = changes.allowed(self.pool.trials[row.id], row, change)
                with _undone(session, allowed):
                    found = changes.ask(session, row, change)
                assert found == allowed, f"the guard decides on {change}"
        for trial in trials:
            for fence in range(trial.fence + 2):
                fenced = refusal(partial(transitions.own, session, trial.id, fence), FencedOff)
                refused = refusal(partial(self.pool.own, trial.id, fence), expected.Refused)
                assert (fenced is None) == (refused is None), "only its owner may write"
        self._look_at_turn(session)

    def _versions(self, ids: Collection[int]) -> Collection[Trial]:
        """These trials' rows, as they are and as they were lately, where a guard may tell."""
        rows = [row for row in (*self.seen, *self.rows) if row.id in ids]
        return {(row.id, row.state, row.fence): row for row in rows}.values()

    def _look_at_start(self, session: Session, rows: Collection[Trial]) -> None:
        free_slots = [one for one in self.slots if not self.pool.busy(one.slot_id)]
        if not free_slots:
            return
        with _undone(session):
            lease = leased(session, free_slots[0], next(iter(rows)))
            for row in rows:
                free = self._is_free(row)
                with _undone(session, free):
                    has_started = transitions.start(session, row, lease) is not None
                assert has_started == free, "the guard decides on start"

    def _look_at_turn(self, session: Session) -> None:
        """Whose turn it is, and with whom; all slots are alike, and nobody has a cap."""
        identity, now = self.slots[0], clock.now(session)
        next_id, _ = turns.next_trial(session, identity, Rules(), now)
        eligible = {trial.id for trial in self.pool.eligible()}
        is_allowed = next_id in eligible if eligible else next_id is None
        assert is_allowed, f"{next_id} is next, {eligible} may be"
        for row in self.rows:
            found = {one.id for one in turns.siblings(session, identity, row, len(self.rows))}
            told = {one.id for one in self.pool.siblings(self.pool.trials[row.id])}
            assert found == told, f"trial {row.id} goes with {found}, it must be with {told}"
        free = [row for row in self.rows if self.pool.trials[row.id] in self.pool.eligible()]
        for row in free[:3]:
            self._look_at_companions(session, row)

    def _look_at_companions(self, session: Session, row: Trial) -> None:
        for identity, wanted in itertools.product(self.slots[:1], MEASURED):
            found = [one.id for one in groups.companions(session, identity, row, sizes(wanted))]
            told = self._companions(row.id, identity, wanted)
            assert found == told, f"{row.id} comes with {found}, it must with {told}: {wanted}"

    def _look_at_slots(self, session: Session) -> None:
        """What each sweep and heartbeat comes to, and who may claim."""
        for seen in self.lapsed:
            self._look_at_sweep(session, seen)
        for holding in self.holdings:
            self._look_at_beat(session, holding)
        for identity in self.slots:
            assert claims._may_claim(session, identity) == self._may_claim(identity)

    def _look_at_sweep(self, session: Session, seen: Any) -> None:
        still = sweeper._still(session, seen, Lease.expires_at < db_now())
        assert (still is not None) == self._lapses(seen), "what came back is left alone"

    def _look_at_beat(self, session: Session, holding: Holding) -> None:
        ended = _ended(session, holding)
        with _undone(session):
            beat = owner.heartbeat(session, holding.lease, holding.fences, TTL_S)
            owner.end_lease(session, holding.lease)
            assert not ended or _ended(session, holding) == ended, "what has ended is over"
        told = copy.deepcopy(self.pool).beat(holding.lease, holding.fences, TTL_S)
        assert (set(beat.alive), set(beat.cancel), dict(beat.wishes)) == told

    def _go(self, steps: Collection[str]) -> None:
        """Take these steps with what was claimed last, and look at it."""
        for step in steps:
            self._step(*step.split())
        self.agree()
        if self.holdings:
            with self.transaction() as session:
                self._look(session, [self._claimed()])

    def _step(self, verb: str, what: str = "") -> None:
        if verb == "wait":
            self.wait(max(STEPS_S))
        elif verb == "claim":
            if not self.pool.eligible():
                self.submit("group", 0)
            self.claim(0, 1)
        elif self.holdings and verb == "end":
            self.end(0, 0, what)
        elif self.holdings:
            self._ask(self._claimed(), what)

    def _claimed(self) -> expected.Trial:
        trial_id, _ = self._member(0, 0)
        return self.pool.trials[trial_id]

    def _fall_silent(self) -> None:
        """Late heartbeats come between the two steps of a sweep."""
        self.pool.now += TTL_S + min(STEPS_S)
        with self.transaction() as session:
            silent = sweeper._expired(session, None)
        with self.transaction() as session:
            for holding in self.holdings:
                owner.heartbeat(session, holding.lease, holding.fences, TTL_S)
                self.pool.beat(holding.lease, holding.fences, TTL_S)
        with self.transaction() as session:
            for seen in silent:
                self._look_at_sweep(session, seen)


@contextmanager
def _undone(session: Session, changes_something: bool = True) -> Iterator[None]:
    """What is written in here is taken back."""
    point = session.begin_nested() if changes_something else None
    yield
    if point is not None:
        point.rollback()


def _ended(session: Session, holding: Holding) -> list[Any]:
    columns = select(Lease.beat_at, Lease.expires_at, Lease.ended_at)
    rows = session.execute(columns.where(Lease.id == holding.lease, Lease.ended_at.is_not(None)))
    return list(rows)
