"""How an attempt is closed: its outcome, what it is charged, and the end of its lease.

And how long a trial has run: its share of the slots that it was on.
"""

from __future__ import annotations

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from db import clock
from db.models import Attempt, Lease, Trial
from db.states import Outcome
from db.usage import charge


def close_attempt(
    session: Session,
    trial: Trial,
    outcome: Outcome,
    reason_kind: str | None,
    reason: str | None,
    log_tail: str | None,
    charged: bool,
) -> None:
    """End the attempt of ``trial``'s fence, and its lease when that was its last trial."""
    attempt = session.scalars(
        select(Attempt).where(Attempt.trial_id == trial.id, Attempt.fence == trial.fence)
    ).one()
    now = clock.now(session)
    attempt.ended_at = now
    attempt.outcome = outcome
    attempt.reason_kind = reason_kind
    attempt.reason = reason
    if log_tail is not None:
        attempt.log_tail = log_tail
    attempt.charged = charged
    attempt.slot_seconds = share_s(session, attempt, now)
    if charged:
        charge(session, trial.owner_id, attempt.slot_seconds)
    session.flush()
    left = select(Trial.id).where(Trial.lease_id == attempt.lease_id)
    session.execute(
        update(Lease)
        .where(Lease.id == attempt.lease_id, Lease.ended_at.is_(None), ~left.exists())
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )


def seconds_used(session: Session, trial_id: int) -> float:
    """Slot-seconds of the closed attempts that count towards the time limit.

    Those are the charged ones, and those whose runner was killed: code that kills itself would have
    no limit otherwise.
    """
    used = session.scalar(
        select(func.sum(Attempt.slot_seconds)).where(
            Attempt.trial_id == trial_id,
            or_(Attempt.charged.is_(True), Attempt.reason_kind == "killed"),
        )
    )
    return used or 0.0


def share_s(session: Session, attempt: Attempt, now: float) -> float:
    """Its part of the slot's seconds: each second is split among those who were on it then.

    So the parts of a group add up to what the slot was used, whoever of it left first.
    """
    others = session.scalars(
        select(Attempt.ended_at).where(
            Attempt.lease_id == attempt.lease_id, Attempt.id != attempt.id
        )
    ).all()
    left = sorted(ended_at for ended_at in others if ended_at is not None)
    share, since, members = 0.0, attempt.started_at, len(others) + 1
    for moment in [*left, now]:
        share += max(0.0, moment - since) / members
        since, members = moment, members - 1
    return share
