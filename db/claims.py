"""The moment a slot is free: which trial runs next is decided here, in the database."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db import clock, groups, searching, transitions, turns
from db.attempts import seconds_used
from db.checkpoints import ResumePoint, resume_points
from db.errors import TracedElsewhere
from db.fairness import Rules
from db.groups import Sizes
from db.models import Attempt, Lease, Quarantine, Slot, Trial, Worker
from db.states import Outcome, SlotState, TrialState, Wish
from db.turns import SlotIdentity
from db.workers import taken_over_by

__all__ = ["Claim", "ClaimedTrial", "SlotIdentity", "claim", "give_back", "has_work"]

# All claims of a pool take turns: skipping locked rows instead lets simultaneous claims pick
# several trials of one user while others wait.
_CLAIM_LOCK = 0x1AB9002
_RULES = Rules()
# Trials that a claim walks in a millisecond.
SHORT = 20
# What was chosen may be cancelled or held before it is taken; then others are next.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class ClaimedTrial:
    """A trial to run under ``fence``. ``seconds_used`` are those of earlier attempts.

    ``halts_at`` is the epoch after which it is to stop, paused; None if it runs to its end. What
    becomes of it decides about others too where it is ``searched``. A ``fusable`` one may be
    trained together with siblings.
    """

    trial_id: int
    experiment_id: int
    number: int
    fence: int
    attempt_id: int
    kind: str
    spec: Mapping[str, Any]
    code_name: str
    code_digest: str
    data_name: str | None
    data_digest: str | None
    resume: ResumePoint | None
    time_limit_s: float
    stall_limit_s: float
    seconds_used: float
    wish: Wish | None = None
    trace_key: str | None = None
    fusable: bool = False
    halts_at: int | None = None
    searched: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on one slot and the trials it holds, all of one experiment."""

    lease_id: int
    slot_id: int
    expires_in_s: float
    trials: tuple[ClaimedTrial, ...]


def has_work(session: Session, slot: SlotIdentity, rules: Rules = _RULES) -> bool:
    """Whether a claim would find something for ``slot``.

    To be asked before a claim, and in a snapshot: a long queue that waits for others must not have
    every idle slot walk it under the lock of all claims, at every ring. In a short one the claim
    itself finds that out as soon, so whatever waits counts.
    """
    waiting = session.scalars(select(Trial.id).where(*turns.waits()).limit(SHORT + 1)).all()
    if len(waiting) <= SHORT:
        return bool(waiting)
    return turns.has_turn(session, slot, rules, clock.now(session))


def claim(
    session: Session,
    slot: SlotIdentity,
    lease_ttl_s: float,
    most: int | Sizes = 1,
    rules: Rules = _RULES,
    traced: Collection[str] = (),
    elsewhere: Collection[str] = (),
) -> Claim | None:
    """Give ``slot`` what is next for it; None when nothing is, or when the slot may not claim.

    With ``most`` above 1, waiting siblings that can be trained together with it come along: so many
    in all at most, or by ``Sizes`` as many as their experiment wants and pays here. Of an
    experiment's trials those go first whose trace key is among ``traced``.

    Raises TracedElsewhere for a trial whose trace key is not among ``traced``, but ``elsewhere``,
    unless it is its turn by age alone: which slot takes it may matter then to whose turn is next.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({_CLAIM_LOCK})"))
    if taken_over_by(session, slot.worker_id) is not None or not _may_claim(session, slot):
        return None
    for _ in range(_TRIES):
        now = clock.now(session)
        next_id, by_age = turns.next_trial(session, slot, rules, now, traced)
        if next_id is None:
            return None
        if elsewhere and not by_age:
            _leave_to_another(session, next_id, set(elsewhere).difference(traced))
        found = _lease(session, slot, next_id, by_age, lease_ttl_s, most)
        if found is not None:
            return found
    return None


def _leave_to_another(session: Session, trial_id: int, elsewhere: Collection[str]) -> None:
    key = session.scalar(select(Trial.trace_key).where(Trial.id == trial_id))
    if key is not None and key in elsewhere:
        raise TracedElsewhere(key)


def _lease(
    session: Session,
    slot: SlotIdentity,
    next_id: int,
    by_age: bool,
    lease_ttl_s: float,
    most: int | Sizes,
) -> Claim | None:
    """A lease on this trial and its siblings; None when somebody cancelled them in the meantime."""
    # Read again: what the look saw as ended had ended before the lease began.
    now = clock.now(session)
    trial = session.get_one(Trial, next_id, populate_existing=True)
    lease = Lease(
        slot_id=slot.slot_id,
        worker_id=slot.worker_id,
        experiment_id=trial.experiment_id,
        created_at=now,
        beat_at=now,
        expires_at=now + lease_ttl_s,
        by_age=by_age,
    )
    session.add(lease)
    session.flush()
    members = [trial, *groups.companions(session, slot, trial, most)]
    taken = [
        _take(session, member, attempt)
        for member in members
        # One may have been cancelled between the look and the claim.
        if (attempt := transitions.start(session, member, lease)) is not None
    ]
    if not taken:
        session.delete(lease)
        session.flush()
        return None
    return Claim(lease.id, slot.slot_id, lease_ttl_s, tuple(taken))


def give_back(session: Session, slot: SlotIdentity) -> None:
    """Release what the slot was given without ever hearing of it: a COMMIT's answer was lost.

    To be called by the slot itself, while it holds nothing that it knows of.
    """
    mine = (
        select(Trial.id)
        .join(Lease, Lease.id == Trial.lease_id)
        .where(
            Lease.slot_id == slot.slot_id,
            Lease.worker_id == slot.worker_id,
            Lease.ended_at.is_(None),
            Trial.state == TrialState.RUNNING,
        )
    )
    ids = session.scalars(mine).all()
    if ids:
        with searching.sweep_lock(session, ids):
            held = session.scalars(select(Trial).where(Trial.id.in_(mine)).with_for_update())
            _give_back_all(session, slot, held.all())


def _give_back_all(session: Session, slot: SlotIdentity, held: Collection[Trial]) -> None:
    actor, reason = f"worker {slot.worker_id}", "The answer to its claim was lost."
    for trial in held:
        if trial.cancel_requested:
            transitions.end(
                session, trial, TrialState.CANCELLED, actor=actor, reason_kind="cancelled",
                reason=f"Cancelled. {reason}", charged=False,
            )  # fmt: skip
        else:
            transitions.requeue(
                session, trial, actor=actor, outcome=Outcome.RELEASED, reason=reason
            )


def _may_claim(session: Session, slot: SlotIdentity) -> bool:
    live = select(Lease.id).where(Lease.slot_id == slot.slot_id, Lease.ended_at.is_(None))
    # Asked itself: a slot that was registered while another took its GPU out of service is READY.
    closed = select(Quarantine.id).where(
        Quarantine.device == Slot.gpu_uuid, Quarantine.cleared_at.is_(None)
    )
    healthy = select(Slot.id).where(
        Slot.id == slot.slot_id,
        Slot.worker_id == slot.worker_id,
        Slot.state == SlotState.READY,
        ~live.exists(),
        ~closed.exists(),
        Worker.id == Slot.worker_id,
        Worker.drain_at.is_(None),
    )
    return session.scalar(healthy) is not None


def _take(session: Session, trial: Trial, attempt: Attempt) -> ClaimedTrial:
    # The first attempt has nothing before it, and it is the one that somebody waits for.
    ran_before = attempt.fence > 1
    points = resume_points(session, trial.id) if ran_before else []
    resume = points[0] if points else None
    attempt.resumed_epoch = resume.epoch if resume else None
    return ClaimedTrial(
        trial_id=trial.id,
        experiment_id=trial.experiment_id,
        number=trial.number,
        fence=attempt.fence,
        attempt_id=attempt.id,
        kind=trial.kind,
        spec=trial.spec,
        code_name=trial.code_name,
        code_digest=trial.code_digest,
        data_name=trial.data_name,
        data_digest=trial.data_digest,
        resume=resume,
        time_limit_s=trial.spec["time_limit_s"],
        stall_limit_s=trial.spec["stall_limit_s"],
        seconds_used=seconds_used(session, trial.id) if ran_before else 0.0,
        wish=trial.wish,
        trace_key=trial.trace_key,
        fusable=trial.fuse_key is not None,
        # Who stops it wants a result of what there is.
        halts_at=None if trial.wish is Wish.STOP else trial.halts_at,
        searched=trial.rung is not None,
    )
