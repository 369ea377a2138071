"""How an attempt is closed: its outcome, what it is charged, and the end of its lease."""

from __future__ import annotations

from sqlalchemy import func, select, update
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
    members = session.scalar(
        select(func.count()).select_from(Attempt).where(Attempt.lease_id == attempt.lease_id)
    )
    attempt.slot_seconds = max(0.0, now - attempt.started_at) / (members or 1)
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
