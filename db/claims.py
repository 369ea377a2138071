"""The moment a slot is free: which trial runs next is decided here, in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, text
from sqlalchemy.orm import Session, aliased

from db import clock, transitions
from db.checkpoints import ResumePoint, resume_points
from db.clock import db_now
from db.models import Attempt, Lease, Slot, Trial, Worker
from db.states import Outcome, SlotState, TrialState, Wish

# All claims of a pool take turns: skipping locked rows instead lets simultaneous claims pick
# several trials of one user while others wait.
_CLAIM_LOCK = 0x1AB9002


@dataclass(frozen=True, slots=True)
class SlotIdentity:
    """A slot, and what it can serve: kinds of trial and digests of catalog entries."""

    slot_id: int
    worker_id: str
    device: str
    kinds: Sequence[str]
    code_digests: Sequence[str]
    data_digests: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClaimedTrial:
    """A trial to run under ``fence``. ``seconds_used`` are those of earlier attempts."""

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


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease on one slot and the trials it holds, all of one experiment."""

    lease_id: int
    slot_id: int
    expires_in_s: float
    trials: tuple[ClaimedTrial, ...]


def has_work(session: Session) -> bool:
    """Whether anything waits at all: cheap enough to ask at every ring."""
    statement = select(Trial.id).where(Trial.state == TrialState.QUEUED, *due()).limit(1)
    return session.scalar(statement) is not None


def claim(session: Session, slot: SlotIdentity, lease_ttl_s: float, most: int = 1) -> Claim | None:
    """Give ``slot`` what is next for it; None when nothing is, or when the slot may not claim.

    With ``most`` above 1, waiting siblings that can be trained together with it come along.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({_CLAIM_LOCK})"))
    if not _may_claim(session, slot):
        return None
    trial = session.scalars(_next(slot)).first()
    if trial is None:
        return None
    now = clock.now(session)
    lease = Lease(
        slot_id=slot.slot_id,
        worker_id=slot.worker_id,
        experiment_id=trial.experiment_id,
        created_at=now,
        beat_at=now,
        expires_at=now + lease_ttl_s,
    )
    session.add(lease)
    session.flush()
    members = [trial, *_siblings(session, slot, trial, most - 1)]
    taken = [
        _take(session, member, attempt)
        for member in members
        # One may have been cancelled between the look and the claim.
        if (attempt := transitions.start(session, member, lease)) is not None
    ]
    if not taken:
        session.delete(lease)
        return None
    return Claim(lease.id, slot.slot_id, lease_ttl_s, tuple(taken))


def give_back(session: Session, slot: SlotIdentity) -> None:
    """Release what the slot was given without ever hearing of it: a COMMIT's answer was lost.

    To be called by the slot itself, while it holds nothing that it knows of.
    """
    held = session.scalars(
        select(Trial)
        .join(Lease, Lease.id == Trial.lease_id)
        .where(
            Lease.slot_id == slot.slot_id,
            Lease.worker_id == slot.worker_id,
            Lease.ended_at.is_(None),
            Trial.state == TrialState.RUNNING,
        )
        .with_for_update(of=Trial)
    ).all()
    for trial in held:
        transitions.requeue(
            session,
            trial,
            actor=f"worker {slot.worker_id}",
            outcome=Outcome.RELEASED,
            reason="The answer to its claim was lost.",
        )


def _may_claim(session: Session, slot: SlotIdentity) -> bool:
    live = select(Lease.id).where(Lease.slot_id == slot.slot_id, Lease.ended_at.is_(None))
    healthy = select(Slot.id).where(
        Slot.id == slot.slot_id,
        Slot.worker_id == slot.worker_id,
        Slot.state == SlotState.READY,
        ~live.exists(),
        Worker.id == Slot.worker_id,
        Worker.drain_at.is_(None),
    )
    return session.scalar(healthy) is not None


def due() -> tuple[ColumnElement[bool], ...]:
    """What a waiting trial must be to run at once: let go, and past its pause between tries."""
    return (Trial.held.is_(False), func.coalesce(Trial.not_before, 0.0) <= db_now())


def _next(slot: SlotIdentity) -> Select[Trial]:
    """Within a priority the user with the fewest running trials is next, then the oldest trial."""
    other = aliased(Trial)
    running = (
        select(func.count())
        .select_from(other)
        .where(other.owner_id == Trial.owner_id, other.state == TrialState.RUNNING)
        .correlate(Trial)
        .scalar_subquery()
    )
    return (
        select(Trial)
        .where(Trial.state == TrialState.QUEUED, *due(), *servable(slot))
        .order_by(Trial.priority.desc(), running, Trial.id)
        .limit(1)
    )


def servable(slot: SlotIdentity) -> tuple[ColumnElement[bool], ...]:
    """What a trial must be for ``slot`` to run it."""
    return (
        Trial.device.in_(("any", slot.device)),
        Trial.kind.in_(slot.kinds),
        Trial.code_digest.in_(slot.code_digests),
        or_(Trial.data_digest.is_(None), Trial.data_digest.in_(slot.data_digests)),
    )


def _siblings(session: Session, slot: SlotIdentity, head: Trial, most: int) -> Sequence[Trial]:
    """Waiting trials of the same experiment that can be trained together with ``head``."""
    if most <= 0 or head.fuse_key is None or head.alone:
        return ()
    return session.scalars(
        select(Trial)
        .where(
            Trial.state == TrialState.QUEUED,
            Trial.experiment_id == head.experiment_id,
            Trial.fuse_key == head.fuse_key,
            Trial.alone.is_(False),
            Trial.id != head.id,
            *due(),
            *servable(slot),
        )
        .order_by(Trial.priority.desc(), Trial.id)
        .limit(most)
    ).all()


def _take(session: Session, trial: Trial, attempt: Attempt) -> ClaimedTrial:
    points = resume_points(session, trial.id)
    resume = points[0] if points else None
    attempt.resumed_epoch = resume.epoch if resume else None
    used = session.scalar(
        select(func.sum(Attempt.slot_seconds)).where(
            Attempt.trial_id == trial.id, Attempt.charged.is_(True)
        )
    )
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
        seconds_used=used or 0.0,
        wish=trial.wish,
    )
