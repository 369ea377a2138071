"""What a trial finds as it runs: points of its curves, checkpoints, files, its log, its progress.

Each is written by the lease's owner under its fence; FencedOff says that it is no longer its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import checkpoints, clock, searching, transitions
from db.clock import db_now
from db.models import Artifact, Attempt, Checkpoint, MetricChunk, Trial


@dataclass(frozen=True, slots=True)
class Chunk:
    """Points of one curve, the four sequences of one length. Times in seconds since the start."""

    name: str
    steps: Sequence[int]
    epochs: Sequence[float | None]
    times_s: Sequence[float]
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint whose file is durable in the store."""

    epoch: int
    key: str
    sha256: str
    bytes: int
    value: float | None
    best: bool


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """An artifact whose file is durable in the store."""

    name: str
    key: str
    media_type: str
    sha256: str
    bytes: int


# How much is done, of how much, in which unit.
Progress = tuple[float, float, str]


def record_metrics(
    session: Session,
    trial_id: int,
    fence: int,
    chunks: Sequence[Chunk],
    progress: Progress | None = None,
) -> bool:
    """Append to the attempt's curves, and say how far it is.

    Whether its sweep's search, which hears of it, does anything therefore.
    """
    sweeps = searching.lock_sweeps_of(session, [trial_id]) if chunks else []
    trial = transitions.own(session, trial_id, fence)
    epoch = add_points(session, trial_id, fence, chunks)
    if progress is not None:
        note_progress(session, trial_id, fence, *progress)
    if epoch is None:
        return False
    heard = [sweep for sweep in sweeps if searching.hears(sweep, trial, epoch)]
    return sum(searching.advance(session, sweep) for sweep in heard) > 0


def record_checkpoint(
    session: Session, trial_id: int, fence: int, checkpoint: CheckpointRecord
) -> list[str]:
    """Transition 4. Returns the keys that may now leave the store."""
    transitions.own(session, trial_id, fence)
    session.add(
        Checkpoint(
            trial_id=trial_id,
            fence=fence,
            epoch=checkpoint.epoch,
            key=checkpoint.key,
            sha256=checkpoint.sha256,
            bytes=checkpoint.bytes,
            value=checkpoint.value,
            best=checkpoint.best,
            created_at=clock.now(session),
        )
    )
    session.flush()
    return checkpoints.drop_older(session, trial_id)


def record_artifact(
    session: Session, trial_id: int, fence: int, artifact: ArtifactRecord
) -> list[str]:
    """Keep a file that the trial made, in place of one of the same name.

    A resumed attempt makes again what an earlier one made after its last checkpoint. Returns the
    keys that may now leave the store.
    """
    transitions.own(session, trial_id, fence)
    statement = select(Artifact).where(
        Artifact.trial_id == trial_id, Artifact.name == artifact.name
    )
    before = session.scalars(statement).all()
    row = next((old for old in before if old.fence == fence), None) or Artifact(
        trial_id=trial_id, fence=fence, name=artifact.name
    )
    obsolete = [old for old in before if old is not row]
    for old in obsolete:
        session.delete(old)
    row.key = artifact.key
    row.media_type = artifact.media_type
    row.sha256 = artifact.sha256
    row.bytes = artifact.bytes
    row.created_at = clock.now(session)
    session.add(row)
    return [old.key for old in obsolete]


def set_log(session: Session, trial_id: int, fence: int, key: str, size_bytes: int) -> None:
    """Say where the attempt's log is. Allowed after its end too: the log ends last."""
    session.execute(
        update(Attempt)
        .where(Attempt.trial_id == trial_id, Attempt.fence == fence)
        .values(log_key=key, log_bytes=size_bytes)
        .execution_options(synchronize_session=False)
    )


def note_progress(
    session: Session, trial_id: int, fence: int, done: float, total: float, unit: str
) -> None:
    """Say how far a trial is."""
    session.execute(
        update(Trial)
        .where(Trial.id == trial_id, Trial.fence == fence)
        .values(
            progress_done=done, progress_total=total, progress_unit=unit[:200], progress_at=db_now()
        )
        .execution_options(synchronize_session=False)
    )


def add_points(session: Session, trial_id: int, fence: int, chunks: Sequence[Chunk]) -> int | None:
    """Append to the curves; the caller has made sure of the fence.

    The last epoch of which that tells its sweep's search anything new.
    """
    session.add_all(
        MetricChunk(
            trial_id=trial_id,
            fence=fence,
            name=chunk.name,
            steps=list(chunk.steps),
            epochs=list(chunk.epochs),
            times_s=list(chunk.times_s),
            values=list(chunk.values),
        )
        for chunk in chunks
        if chunk.steps
    )
    session.flush()
    return searching.add_reports(session, session.get_one(Trial, trial_id), chunks)
