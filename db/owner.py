"""What the owner of a lease writes. Each raises FencedOff when the trial is no longer its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from db import checkpoints, transitions
from db.clock import db_now
from db.models import Artifact, Attempt, Checkpoint, Lease, MetricChunk, Result, Slot, Trial
from db.states import Outcome, TrialState
from db.text import storable


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat learned: trials still owned, and those of them to cancel."""

    alive: frozenset[int]
    cancel: frozenset[int]


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


Progress = tuple[float, float, str]


def heartbeat(
    session: Session,
    lease_id: int,
    fences: Mapping[int, int],
    ttl_s: float,
    progress: Mapping[int, Progress] | None = None,
) -> Beat:
    """Transition 3: move the lease on. A late beat revives a lease that nobody took back.

    ``fences`` are the trials believed to be owned; ``progress`` is (done, total, unit) of some.
    """
    moved = session.execute(
        update(Lease)
        .where(Lease.id == lease_id, Lease.ended_at.is_(None))
        .values(beat_at=db_now(), expires_at=db_now() + ttl_s)
        .execution_options(synchronize_session=False)
    )
    assert isinstance(moved, CursorResult)
    if moved.rowcount != 1:
        return Beat(frozenset(), frozenset())
    rows = session.execute(
        select(Trial.id, Trial.fence, Trial.cancel_requested).where(
            Trial.lease_id == lease_id, Trial.state == TrialState.RUNNING
        )
    ).all()
    alive = {trial_id: cancel for trial_id, fence, cancel in rows if fences.get(trial_id) == fence}
    for trial_id, (done, total, unit) in (progress or {}).items():
        if trial_id in alive:
            _note_progress(session, trial_id, fences[trial_id], done, total, unit)
    cancel = frozenset(trial_id for trial_id, wanted in alive.items() if wanted)
    return Beat(frozenset(alive), cancel)


def _note_progress(
    session: Session, trial_id: int, fence: int, done: float, total: float, unit: str
) -> None:
    session.execute(
        update(Trial)
        .where(Trial.id == trial_id, Trial.fence == fence)
        .values(
            progress_done=done, progress_total=total, progress_unit=unit[:200], progress_at=db_now()
        )
        .execution_options(synchronize_session=False)
    )


def note_started(
    session: Session,
    trial_id: int,
    fence: int,
    environment: Mapping[str, Any],
    progress: Progress | None = None,
) -> None:
    """Keep what the attempt runs on (versions, device, threads), and how much there is to do."""
    trial = transitions.own(session, trial_id, fence)
    attempt = _attempt(session, trial)
    attempt.environment = storable(dict(environment))
    if "resumed_epoch" in environment:
        # The claim named the newest checkpoint; the slot knows which one was whole.
        attempt.resumed_epoch = environment["resumed_epoch"]
    if progress is not None:
        _note_progress(session, trial_id, fence, *progress)


def record_metrics(
    session: Session,
    trial_id: int,
    fence: int,
    chunks: Sequence[Chunk],
    progress: Progress | None = None,
) -> None:
    """Append to the attempt's curves, and say how far it is."""
    transitions.own(session, trial_id, fence)
    _add_chunks(session, trial_id, fence, chunks)
    if progress is not None:
        _note_progress(session, trial_id, fence, *progress)


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
            created_at=_now(session),
        )
    )
    session.flush()
    return checkpoints.drop_older(session, trial_id)


def record_artifact(session: Session, trial_id: int, fence: int, artifact: ArtifactRecord) -> None:
    """Keep a file that the trial made; one of the same name in this attempt is replaced."""
    transitions.own(session, trial_id, fence)
    statement = select(Artifact).where(
        Artifact.trial_id == trial_id, Artifact.fence == fence, Artifact.name == artifact.name
    )
    row = session.scalars(statement).one_or_none() or Artifact(
        trial_id=trial_id, fence=fence, name=artifact.name
    )
    row.key = artifact.key
    row.media_type = artifact.media_type
    row.sha256 = artifact.sha256
    row.bytes = artifact.bytes
    row.created_at = _now(session)
    session.add(row)


def set_log(session: Session, trial_id: int, fence: int, key: str, size_bytes: int) -> None:
    """Say where the attempt's log is. Allowed after its end too: the log ends last."""
    session.execute(
        update(Attempt)
        .where(Attempt.trial_id == trial_id, Attempt.fence == fence)
        .values(log_key=key, log_bytes=size_bytes)
        .execution_options(synchronize_session=False)
    )


def succeed(
    session: Session,
    trial_id: int,
    fence: int,
    metrics: Mapping[str, float],
    summary: Mapping[str, Any],
    ended_early: bool = False,
    chunks: Sequence[Chunk] = (),
) -> None:
    """Transition 5 to SUCCEEDED, with the result and the last of the curves."""
    trial = transitions.own(session, trial_id, fence)
    attempt = _attempt(session, trial)
    now = _now(session)
    _add_chunks(session, trial_id, fence, chunks)
    session.add(
        Result(
            trial_id=trial_id,
            fence=fence,
            metrics=dict(metrics),
            summary=storable(dict(summary)),
            device=session.get_one(Slot, attempt.slot_id).device,
            seconds=_seconds(session, trial_id, now),
            created_at=now,
        )
    )
    transitions.end(
        session, trial, TrialState.SUCCEEDED, actor=_actor(attempt), ended_early=ended_early,
        progress_done=_finished(trial),
    )  # fmt: skip


def fail(
    session: Session,
    trial_id: int,
    fence: int,
    reason_kind: str,
    reason: str,
    log_tail: str | None = None,
    chunks: Sequence[Chunk] = (),
) -> None:
    """Transition 5 to FAILED, with the reason and the tail of the log."""
    trial = transitions.own(session, trial_id, fence)
    _add_chunks(session, trial_id, fence, chunks)
    transitions.end(
        session, trial, TrialState.FAILED, actor=_actor(_attempt(session, trial)),
        reason_kind=reason_kind, reason=storable(reason),
        log_tail=None if log_tail is None else storable(log_tail),
    )  # fmt: skip


def cancel(
    session: Session, trial_id: int, fence: int, reason: str, chunks: Sequence[Chunk] = ()
) -> None:
    """Transition 9 by the owner."""
    trial = transitions.own(session, trial_id, fence)
    _add_chunks(session, trial_id, fence, chunks)
    transitions.end(
        session, trial, TrialState.CANCELLED, actor=_actor(_attempt(session, trial)),
        reason_kind="cancelled", reason=storable(reason),
    )  # fmt: skip


def release(
    session: Session,
    trial_id: int,
    fence: int,
    reason: str,
    delay_s: float = 0.0,
    chunks: Sequence[Chunk] = (),
) -> None:
    """Transition 6: give the trial back, uncharged. A flagged one is cancelled instead."""
    trial = transitions.own(session, trial_id, fence)
    _add_chunks(session, trial_id, fence, chunks)
    actor = _actor(_attempt(session, trial))
    if trial.cancel_requested:
        transitions.end(
            session, trial, TrialState.CANCELLED, actor=actor, reason_kind="cancelled",
            reason=f"Cancelled while its slot gave it back: {storable(reason)}",
        )  # fmt: skip
        return
    transitions.requeue(
        session, trial, actor=actor, outcome=Outcome.RELEASED, reason=storable(reason),
        delay_s=delay_s,
    )  # fmt: skip


def end_lease(session: Session, lease_id: int) -> None:
    """End a lease that holds nothing any more; one that does stays for the sweeper."""
    held = select(Trial.id).where(Trial.lease_id == lease_id)
    session.execute(
        update(Lease)
        .where(Lease.id == lease_id, Lease.ended_at.is_(None), ~held.exists())
        .values(ended_at=db_now())
        .execution_options(synchronize_session=False)
    )


def _add_chunks(session: Session, trial_id: int, fence: int, chunks: Sequence[Chunk]) -> None:
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


def _attempt(session: Session, trial: Trial) -> Attempt:
    statement = select(Attempt).where(Attempt.trial_id == trial.id, Attempt.fence == trial.fence)
    return session.scalars(statement).one()


def _actor(attempt: Attempt) -> str:
    return f"worker {attempt.worker_id}"


def _finished(trial: Trial) -> float:
    return trial.progress_total if trial.progress_total is not None else trial.progress_done


def _seconds(session: Session, trial_id: int, now: float) -> float:
    """Slot-seconds of every attempt that counts: closed and charged ones, and the one at work."""
    rows = session.scalars(select(Attempt).where(Attempt.trial_id == trial_id)).all()
    return sum(
        (row.ended_at or now) - row.started_at for row in rows if row.charged or not row.ended_at
    )


def _now(session: Session) -> float:
    return session.execute(select(db_now())).scalar_one()
