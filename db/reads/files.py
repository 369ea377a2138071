"""Attempts with their logs, checkpoints and artifacts of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Artifact, Attempt, Checkpoint, Slot, Worker


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One claim of a trial. `place` is the slot and host that took it."""

    fence: int
    place: str
    started_at: float
    ended_at: float | None
    outcome: str | None
    reason_kind: str | None
    reason: str | None
    resumed_epoch: int | None
    slot_seconds: float | None
    environment: Mapping[str, Any]
    log_key: str | None
    log_bytes: int | None
    log_tail: str | None

    @property
    def device_name(self) -> str | None:
        name = self.environment.get("device_name") or self.environment.get("device")
        return str(name) if name else None


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    id: int
    fence: int
    epoch: int
    key: str
    sha256: str
    size_bytes: int
    value: float | None
    best: bool
    created_at: float
    kept: bool


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    id: int
    fence: int
    name: str
    key: str
    media_type: str
    sha256: str
    size_bytes: int
    created_at: float


def attempts_of(session: Session, trial_id: int) -> list[AttemptRow]:
    """All attempts, newest first."""
    query = (
        select(Attempt, Slot.name, Worker.host)
        .join(Slot, Slot.id == Attempt.slot_id)
        .join(Worker, Worker.id == Attempt.worker_id)
        .where(Attempt.trial_id == trial_id)
        .order_by(Attempt.fence.desc())
    )
    return [
        AttemptRow(
            fence=attempt.fence,
            place=f"{slot} on {host}",
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            outcome=attempt.outcome.value if attempt.outcome else None,
            reason_kind=attempt.reason_kind,
            reason=attempt.reason,
            resumed_epoch=attempt.resumed_epoch,
            slot_seconds=attempt.slot_seconds,
            environment=attempt.environment or {},
            log_key=attempt.log_key,
            log_bytes=attempt.log_bytes,
            log_tail=attempt.log_tail,
        )
        for attempt, slot, host in session.execute(query)
    ]


def checkpoints_of(session: Session, trial_id: int) -> list[CheckpointRow]:
    """The checkpoints that are still in the store, newest first."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.trial_id == trial_id, Checkpoint.deleted_at.is_(None))
        .order_by(Checkpoint.epoch.desc(), Checkpoint.fence.desc())
    )
    return [_checkpoint(found) for found in session.scalars(query)]


def checkpoint_row(session: Session, trial_id: int, checkpoint_id: int) -> CheckpointRow | None:
    found = session.get(Checkpoint, checkpoint_id)
    return _checkpoint(found) if found is not None and found.trial_id == trial_id else None


def artifacts_of(session: Session, trial_id: int) -> list[ArtifactRow]:
    """A trial's files by name, of each name the newest attempt's.

    One that went on from a checkpoint makes only what the earlier one had not made by then.
    """
    query = select(Artifact).where(Artifact.trial_id == trial_id).order_by(Artifact.fence)
    newest = {item.name: item for item in session.scalars(query)}
    return [_artifact(newest[name]) for name in sorted(newest)]


def artifact_row(session: Session, trial_id: int, artifact_id: int) -> ArtifactRow | None:
    found = session.get(Artifact, artifact_id)
    return _artifact(found) if found is not None and found.trial_id == trial_id else None


def _checkpoint(found: Checkpoint) -> CheckpointRow:
    return CheckpointRow(
        id=found.id,
        fence=found.fence,
        epoch=found.epoch,
        key=found.key,
        sha256=found.sha256,
        size_bytes=found.bytes,
        value=found.value,
        best=found.best,
        created_at=found.created_at,
        kept=found.deleted_at is None,
    )


def _artifact(found: Artifact) -> ArtifactRow:
    return ArtifactRow(
        id=found.id,
        fence=found.fence,
        name=found.name,
        key=found.key,
        media_type=found.media_type,
        sha256=found.sha256,
        size_bytes=found.bytes,
        created_at=found.created_at,
    )
