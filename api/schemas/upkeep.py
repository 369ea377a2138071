"""What keeps the pool in repair: GPUs out of service, workers that drain."""

from __future__ import annotations

from pydantic import BaseModel, Field

from api.schemas.base import Instant, Model
from db.models import Quarantine as QuarantineRow
from db.models import Worker as WorkerRow


class Quarantine(Model):
    """A GPU that is out of service until an administrator clears it."""

    device: str = Field(description="The GPU's own id, or slot-N for a slot without a GPU.")
    name: str
    host: str
    reason: str
    since: Instant
    cleared_at: Instant | None


class Drain(Model):
    """Whether a worker is being drained: it finishes what it holds and claims nothing more."""

    worker: str
    host: str
    draining: bool


class DevicePath(BaseModel):
    device: str = Field(max_length=200, description="The GPU's id, or the number of its slot.")


class WorkerPath(BaseModel):
    worker: str = Field(max_length=200, description="The worker's id, or its host's name.")


def quarantine_of(row: QuarantineRow) -> Quarantine:
    return Quarantine.model_validate(
        {
            "device": row.device,
            "name": row.name,
            "host": row.host,
            "reason": row.reason,
            "since": row.since,
            "cleared_at": row.cleared_at,
        }
    )


def drain_of(row: WorkerRow) -> Drain:
    return Drain(worker=row.id, host=row.host, draining=row.drain_at is not None)
