"""Workers, slots and the queue as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from api.schemas.base import Instant, JsonObject, Model, Query
from api.schemas.trials import TrialSummary
from api.schemas.upkeep import Quarantine, quarantine_of
from db.models import Quarantine as QuarantineRow
from db.reads.pool import HeldTrial, SlotRow, WorkerRow


class Held(Model):
    """A trial that a slot runs. `owner` is null where results are private and it is not yours."""

    trial_id: int | None
    owner: str | None
    model: str | None
    started_at: Instant | None
    progress_done: float
    progress_total: float | None
    progress_unit: str | None


class Slot(Model):
    """One GPU, or a share of one or of the CPU."""

    id: int
    index: int
    name: str
    device: str
    gpu_uuid: str | None
    memory_mb: int | None
    kinds: list[str]
    state: str = Field(description="ready, quarantined or gone")
    reason: str | None = Field(description="Why it takes nothing, if it does not.")
    lease_expires_at: Instant | None
    trials: list[Held]


class Worker(Model):
    """One worker process."""

    id: str
    host: str
    pid: int
    version: str
    started_at: Instant
    seen_at: Instant
    alive: bool
    draining: bool = Field(description="It finishes what it holds and claims nothing more.")
    slots: list[Slot]


class Pool(Model):
    workers: list[Worker]
    slot_count: int
    busy_count: int
    queued_count: int
    quarantines: list[Quarantine]


class Queued(Model):
    """A waiting trial and why it waits."""

    trial: TrialSummary
    waiting: str


class QueuePage(Model):
    """Waiting trials in the order in which free slots would take them."""

    queue: list[Queued]
    next: str | None


class QueueQuery(Query):
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="From a `next` address.")


def pool_of(
    rows: list[WorkerRow],
    queued_count: int,
    only_owner_id: int | None,
    quarantines: Sequence[QuarantineRow],
) -> Pool:
    """The pool as one viewer may see it; `only_owner_id` hides whose the other trials are."""
    workers = [_worker(row, only_owner_id) for row in rows]
    live = [slot for row in rows if row.alive for slot in row.slots]
    return Pool(
        workers=workers,
        slot_count=len(live),
        busy_count=sum(1 for slot in live if slot.held),
        queued_count=queued_count,
        quarantines=[quarantine_of(row) for row in quarantines],
    )


def _worker(row: WorkerRow, only_owner_id: int | None) -> Worker:
    fields: JsonObject = {
        "id": row.id,
        "host": row.host,
        "pid": row.pid,
        "version": row.version,
        "started_at": row.started_at,
        "seen_at": row.seen_at,
        "alive": row.alive,
        "draining": row.draining,
        "slots": [_slot(slot, only_owner_id) for slot in row.slots],
    }
    return Worker.model_validate(fields)


def _slot(row: SlotRow, only_owner_id: int | None) -> Slot:
    fields: JsonObject = {
        "id": row.id,
        "index": row.index,
        "name": row.name,
        "device": row.device,
        "gpu_uuid": row.gpu_uuid,
        "memory_mb": row.memory_mb,
        "kinds": list(row.kinds),
        "state": row.state,
        "reason": row.reason,
        "lease_expires_at": row.expires_at,
        "trials": [_held(held, only_owner_id) for held in row.held],
    }
    return Slot.model_validate(fields)


def _held(row: HeldTrial, only_owner_id: int | None) -> Held:
    hidden = only_owner_id is not None and row.owner_id != only_owner_id
    fields: JsonObject = {
        "trial_id": None if hidden else row.trial_id,
        "owner": None if hidden else row.owner,
        "model": None if hidden else row.code_name,
        "started_at": row.started_at,
        "progress_done": row.progress_done,
        "progress_total": row.progress_total,
        "progress_unit": row.progress_unit,
    }
    return Held.model_validate(fields)
