"""Who acts on what was seen earlier: only the guards of the transitions stand in the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock, sweeper, transitions
from db.claims import SlotIdentity
from db.clock import db_now
from db.errors import FencedOff
from db.models import Lease, Trial
from db.states import Outcome, TrialState, Wish
from tests.faults import changes, expected
from tests.faults.changes import ACTOR, CHANGES
from tests.faults.rules import TTL_S, Holding, PoolRules, pick, picks


class StaleRules(PoolRules):
    """Acts on rows as they were in an earlier transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Sequence[Trial] = []
        self.seen: list[Trial] = []
        self.swept: list[Any] = []
        self.lapsed: list[Any] = []

    def remember(self, session: Session) -> None:
        """Every row, and every version of one that there was lately."""
        known = {(row.id, _version(row)) for row in self.seen}
        self.rows = session.scalars(select(Trial)).all()
        fresh = [row for row in self.rows if (row.id, _version(row)) not in known]
        self.seen = [*self.seen, *fresh][-12:]
        expired = [one for one in sweeper._expired(session, None) if one not in self.lapsed]
        self.lapsed = [*self.lapsed, *expired][-12:]

    @precondition(lambda self: self.seen)
    @rule(which=picks, who=picks)
    def start(self, which: int, who: int) -> None:
        """Claim what was free when it was seen."""
        row, identity = pick(self.seen, which), pick(self.slots, who)
        if self.pool.busy(identity.slot_id):
            return
        trial, free = self.pool.trials[row.id], self._is_free(row)
        with self.transaction() as session:
            lease = leased(session, identity, row)
            has_started = transitions.start(session, row, lease) is not None
            if not has_started:
                session.delete(lease)
        assert has_started == free
        if free:
            self.pool.claimed(identity.slot_id, lease.id, [row.id], TTL_S, [])
            self.holdings.append(Holding(lease.id, identity.slot_id, {row.id: trial.fence}))

    @precondition(lambda self: self.seen)
    @rule(
        which=picks,
        change=st.sampled_from(CHANGES),
    )
    def ask_stale(self, which: int, change: str) -> None:
        """What a person's request does when the trial has moved on since it was read."""
        row = pick(self.seen, which)
        trial = self.pool.trials[row.id]
        allowed = changes.allowed(trial, row, change)
        with self.transaction() as session:
            assert changes.ask(session, row, change) == allowed, "the guard decides"
        if allowed:
            changes.follow(trial, change)

    @precondition(lambda self: self.seen)
    @rule(which=picks, to_queue=st.booleans())
    def leave_stale(self, which: int, to_queue: bool) -> None:
        """End a trial, or give it back, as it was when it was seen."""
        row = pick(self.seen, which)
        trial = self.pool.trials[row.id]
        same = trial.state == "running" and (trial.fence, trial.lease) == (row.fence, row.lease_id)
        # The verbs read the row anew under a lock; what they decide by is as it is now.
        row.wish = Wish(trial.wish) if trial.wish else None
        row.held = trial.held
        try:
            with self.transaction() as session:
                if to_queue:
                    transitions.requeue(
                        session, row, actor=ACTOR, outcome=Outcome.RELEASED, reason="x"
                    )
                else:
                    transitions.end(session, row, TrialState.FAILED, actor=ACTOR)
        except FencedOff:
            assert not same
            return
        assert same
        if to_queue:
            self.pool.requeue(trial, "released")
        else:
            self.pool.leave(trial, "failed")

    @rule()
    def sweep_look(self) -> None:
        """The first step of a sweep."""
        with self.transaction() as session:
            self.swept = sweeper._expired(session, None)

    @precondition(lambda self: self.swept)
    @rule()
    def sweep_act(self) -> None:
        """Its second step, later: only what has not changed since is taken back."""
        seen = self.swept.pop()
        with self.transaction() as session:
            row = sweeper._still(session, seen, Lease.expires_at < db_now())
            if row is not None:
                sweeper._take_back(session, row, "It is silent.", expected.MAX_LOSSES)
        assert (row is not None) == self._lapses(seen)
        if row is not None:
            self.pool.take_back(self.pool.trials[seen.trial_id])

    def _is_free(self, row: Trial) -> bool:
        trial = self.pool.trials[row.id]
        return trial in self.pool.eligible() and trial.fence == row.fence

    def _lapses(self, seen: Any) -> bool:
        trial = self.pool.trials[seen.trial_id]
        return trial in self.pool.expired() and trial.fence == seen.fence


def leased(session: Session, identity: SlotIdentity, row: Trial) -> Lease:
    """A new lease of the slot, for this row."""
    now = clock.now(session)
    lease = Lease(
        slot_id=identity.slot_id, worker_id=identity.worker_id, created_at=now,
        experiment_id=row.experiment_id, beat_at=now, expires_at=now + TTL_S,
    )  # fmt: skip
    session.add(lease)
    session.flush()
    return lease


def _version(row: Trial) -> tuple[object, ...]:
    return (row.state, row.fence, row.held, row.wish, row.cancel_requested, row.lease_id)
