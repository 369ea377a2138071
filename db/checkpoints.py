"""Checkpoints: which to resume from, and which may leave the store."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.clock import db_now
from db.models import Checkpoint

# The two newest, because the newest may turn out damaged; and always the best.
_NEWEST_KEPT = 2


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A checkpoint in the store: made under ``fence``, at the end of ``epoch`` (from 1)."""

    checkpoint_id: int
    key: str
    epoch: int
    sha256: str
    bytes: int
    fence: int


def resume_points(session: Session, trial_id: int) -> list[ResumePoint]:
    """What a trial could resume from, the furthest first."""
    statement = (
        select(Checkpoint)
        .where(Checkpoint.trial_id == trial_id, Checkpoint.deleted_at.is_(None))
        .order_by(Checkpoint.epoch.desc(), Checkpoint.fence.desc())
    )
    return [
        ResumePoint(row.id, row.key, row.epoch, row.sha256, row.bytes, row.fence)
        for row in session.scalars(statement)
    ]


def best_point(session: Session, trial_id: int) -> ResumePoint | None:
    """The checkpoint with the best validation of a trial: the last that was the best when made."""
    statement = (
        select(Checkpoint)
        .where(
            Checkpoint.trial_id == trial_id,
            Checkpoint.deleted_at.is_(None),
            Checkpoint.best.is_(True),
        )
        .order_by(Checkpoint.epoch.desc(), Checkpoint.fence.desc())
        .limit(1)
    )
    row = session.scalars(statement).one_or_none()
    if row is None:
        return None
    return ResumePoint(row.id, row.key, row.epoch, row.sha256, row.bytes, row.fence)


def discard(session: Session, checkpoint_id: int) -> None:
    """Never offer this one again: its file is gone or is not what was recorded."""
    session.execute(
        update(Checkpoint).where(Checkpoint.id == checkpoint_id).values(deleted_at=db_now())
    )


def drop_older(session: Session, trial_id: int) -> list[str]:
    """Mark what is neither among the newest nor the best as deleted; their keys in the store."""
    points = resume_points(session, trial_id)
    best = best_point(session, trial_id)
    kept = {point.checkpoint_id for point in points[:_NEWEST_KEPT]}
    if best is not None:
        kept.add(best.checkpoint_id)
    dropped = [point for point in points if point.checkpoint_id not in kept]
    for point in dropped:
        discard(session, point.checkpoint_id)
    # A resumed attempt may write an epoch again under a key of its own; a shared key stays.
    in_use = {point.key for point in points if point.checkpoint_id in kept}
    return [point.key for point in dropped if point.key not in in_use]
