"""What an earlier try of the same write has stored.

A COMMIT whose answer was lost may have been done. Before such a write is tried again, these tell.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.findings import Chunk
from db.models import Checkpoint, MetricChunk


def points_are_there(session: Session, trial: int, fence: int, chunk: Chunk) -> bool:
    """Whether the newest points of this curve in this attempt are those of ``chunk``."""
    statement = (
        select(MetricChunk.steps)
        .where(
            MetricChunk.trial_id == trial,
            MetricChunk.fence == fence,
            MetricChunk.name == chunk.name,
        )
        .order_by(MetricChunk.id.desc())
        .limit(1)
    )
    return session.scalar(statement) == list(chunk.steps)


def checkpoint_is_there(session: Session, trial: int, fence: int, epoch: int) -> bool:
    """Whether this attempt has recorded a checkpoint of ``epoch``."""
    statement = select(Checkpoint.id).where(
        Checkpoint.trial_id == trial, Checkpoint.fence == fence, Checkpoint.epoch == epoch
    )
    return session.scalar(statement) is not None
