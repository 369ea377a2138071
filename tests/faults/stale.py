"""Who acts on what was seen earlier: only the guards of the transitions stand in the way."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import claims, clock, owner, sweeper, transitions
from db.claims import SlotIdentity
from db.clock import db_now
from db.errors import FencedOff
from db.models import Lease, Trial
from db.states import Outcome, TrialState, Wish
from tests.faults import expected
from tests.faults.comparing import differences
from tests.faults.rules import STEPS_S, TTL_S, Holding, PoolRules, pick, picks

_ACTOR = "a test"
_CHANGES = (
    "hold", "let_go", "pause", "stop", "take_back", "resume", "cancel_waiting", "request_cancel",
)  # fmt: skip


class StaleRules(PoolRules):
    """Acts on rows as they were in an earlier transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Trial] = []
        self.swept: list[Any] = []
        self.lapsed: list[Any] = []

    def remember(self, session: Session) -> None:
        """Every version of a row that there was lately."""
        known = {(row.id, _version(row)) for row in self.seen}
        rows = session.scalars(select(Trial)).all()
        fresh = [row for row in rows if (row.id, _version(row)) not in known]
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
            lease = _leased(session, identity, row)
            has_started = transitions.start(session, row, lease) is not None
            if not has_started:
                session.delete(lease)
        assert has_started == free
        if free:
            self.pool.claimed(identity.slot_id, lease.id, [row.id], 1, TTL_S)
            self.holdings.append(Holding(lease.id, identity.slot_id, {row.id: trial.fence}))

    @precondition(lambda self: self.seen)
    @rule(
        which=picks,
        change=st.sampled_from(_CHANGES),
    )
    def ask_stale(self, which: int, change: str) -> None:
        """What a person's request does when the trial has moved on since it was read."""
        row = pick(self.seen, which)
        trial = self.pool.trials[row.id]
        allowed = _allowed(trial, row, change)
        with self.transaction() as session:
            assert _change(session, row, change) == allowed, "the guard decides"
        if not allowed:
            return
        match change:
            case "hold" | "let_go":
                trial.held = change == "hold"
            case "pause" | "stop":
                trial.wish = change
            case "take_back":
                trial.wish = None
            case "resume":
                trial.state, trial.not_before = "queued", 0.0
            case "cancel_waiting":
                trial.state, trial.cancel, trial.wish = "cancelled", True, None
            case "request_cancel":
                trial.cancel = True

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
                        session, row, actor=_ACTOR, outcome=Outcome.RELEASED, reason="x"
                    )
                else:
                    transitions.end(session, row, TrialState.FAILED, actor=_ACTOR)
        except FencedOff:
            assert not same
            return
        assert same
        if to_queue:
            self.pool.requeue(trial, "released")
        else:
            self.pool.leave(trial, "failed")

    def teardown(self) -> None:
        """What each request and claim of each row seen comes to at the end; it is undone.

        Also which of those that were silent at some time a sweep would still take back, what each
        heartbeat would hear, and who may claim. At last all fall silent for a while.
        """
        with self.transaction() as session:
            if list(differences(session, self.pool)):
                return  # a step has failed, and that is what is to be told
            free_slots = [one for one in self.slots if not self.pool.busy(one.slot_id)]
            for row in self.seen:
                for identity in free_slots[:1]:
                    point = session.begin_nested()
                    lease = _leased(session, identity, row)
                    has_started = transitions.start(session, row, lease) is not None
                    point.rollback()
                    assert has_started == self._is_free(row), "the guard decides on start"
                for change in _CHANGES:
                    point = session.begin_nested()
                    found = _change(session, row, change)
                    point.rollback()
                    allowed = _allowed(self.pool.trials[row.id], row, change)
                    assert found == allowed, f"the guard decides on {change}"
            for seen in self.lapsed:
                still = sweeper._still(session, seen, Lease.expires_at < db_now())
                assert (still is not None) == self._lapses(seen), "what came back is left alone"
            for holding in self.holdings:
                ended = _ended(session, holding)
                point = session.begin_nested()
                beat = owner.heartbeat(session, holding.lease, holding.fences, TTL_S)
                owner.end_lease(session, holding.lease)
                assert not ended or _ended(session, holding) == ended, "what has ended is over"
                point.rollback()
                told = copy.deepcopy(self.pool).beat(holding.lease, holding.fences, TTL_S)
                assert (set(beat.alive), set(beat.cancel), dict(beat.wishes)) == told
            for identity in self.slots:
                assert claims._may_claim(session, identity) == self._may_claim(identity)
        self._fall_silent()

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
                still = sweeper._still(session, seen, Lease.expires_at < db_now())
                assert (still is not None) == self._lapses(seen), "what came back is left alone"

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


def _leased(session: Session, identity: SlotIdentity, row: Trial) -> Lease:
    """A new lease of the slot, for this row."""
    now = clock.now(session)
    lease = Lease(
        slot_id=identity.slot_id, worker_id=identity.worker_id, created_at=now,
        experiment_id=row.experiment_id, beat_at=now, expires_at=now + TTL_S,
    )  # fmt: skip
    session.add(lease)
    session.flush()
    return lease


def _ended(session: Session, holding: Holding) -> list[Any]:
    columns = select(Lease.beat_at, Lease.expires_at, Lease.ended_at)
    rows = session.execute(columns.where(Lease.id == holding.lease, Lease.ended_at.is_not(None)))
    return list(rows)


def _version(row: Trial) -> tuple[object, ...]:
    return (row.state, row.fence, row.held, row.wish, row.cancel_requested, row.lease_id)


def _allowed(trial: expected.Trial, row: Trial, change: str) -> bool:
    if trial.fence != row.fence:
        return False
    match change:
        case "hold" | "let_go":
            return trial.state == "queued" and trial.held != (change == "hold")
        case "pause" | "stop":
            states = ("running", "queued") if change == "stop" else ("running",)
            return trial.state in states and not trial.cancel and trial.wish != change
        case "take_back":
            waits_or_runs = trial.state in ("running", "queued")
            return waits_or_runs and not trial.cancel and trial.wish is not None
        case "resume":
            return trial.state == "paused"
        case "cancel_waiting":
            return trial.state == str(row.state) in ("queued", "paused")
        case _:
            return trial.state == "running" and not trial.cancel


def _change(session: Session, row: Trial, change: str) -> bool:
    match change:
        case "hold" | "let_go":
            return transitions.hold(session, row, change == "hold", actor=_ACTOR)
        case "pause" | "stop":
            return transitions.wish(session, row, Wish(change), actor=_ACTOR)
        case "take_back":
            return transitions.wish(session, row, None, actor=_ACTOR)
        case "resume":
            return transitions.resume(session, row, actor=_ACTOR)
        case "cancel_waiting":
            return transitions.cancel_waiting(session, row, actor=_ACTOR)
        case _:
            return transitions.request_cancel(session, row, actor=_ACTOR)
