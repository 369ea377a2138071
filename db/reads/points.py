"""What the trials of one experiment came to, for means over their seeds."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Result, Trial
from labpool.points import Run


def runs_of(session: Session, experiment_id: int) -> list[Run]:
    """Its trials by number, in one statement."""
    query = (
        select(Trial.id, Trial.seed, Trial.varied, Result.metrics)
        .outerjoin(Result, (Result.trial_id == Trial.id) & (Result.fence == Trial.fence))
        .where(Trial.experiment_id == experiment_id)
        .order_by(Trial.number)
    )
    return [
        Run(trial_id, seed, varied, metrics or {})
        for trial_id, seed, varied, metrics in session.execute(query)
    ]
