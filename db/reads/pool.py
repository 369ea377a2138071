"""Workers, their slots and what each holds; the queue."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from db import clock
from db.models import Attempt, Lease, Slot, Trial, User, Worker
from db.queue_order import Line
from db.states import TrialState

# A worker that fell silent stays on the page for a while, so that people see which one it was.
_SHOWN_AFTER_SILENCE_S = 3600.0


@dataclass(frozen=True, slots=True)
class HeldTrial:
    """A trial that a slot runs now. `started_at` is when this attempt began, after `resumed_at`
    units of its progress; `pending` one was asked to end or pause."""

    trial_id: int
    experiment_id: int
    owner_id: int
    owner: str
    code_name: str
    started_at: float | None
    progress_done: float
    progress_total: float | None
    progress_unit: str | None
    resumed_at: float
    pending: bool


@dataclass(frozen=True, slots=True)
class SlotRow:
    """One slot. `kinds` are the kinds of trial it takes; `expires_at` is its lease's end."""

    id: int
    index: int
    device: str
    name: str
    gpu_uuid: str | None
    memory_mb: int | None
    kinds: tuple[str, ...]
    state: str
    reason: str | None
    expires_at: float | None
    held: tuple[HeldTrial, ...]


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker process. `alive` is false once it fell silent or stopped."""

    id: str
    host: str
    pid: int
    version: str
    started_at: float
    seen_at: float
    stopped_at: float | None
    alive: bool
    draining: bool
    slots: tuple[SlotRow, ...]


def workers(session: Session, with_stopped: bool = False) -> list[WorkerRow]:
    """Workers by host, with slots and what these run; with those that stopped a while ago.

    Those that are alive come first.
    """
    now = clock.now(session)
    query = select(Worker).where(Worker.seen_at > now - _SHOWN_AFTER_SILENCE_S)
    if not with_stopped:
        query = query.where(Worker.stopped_at.is_(None))
    # Those that live first, then the silent, then those that stopped.
    rank = case(
        (Worker.stopped_at.is_not(None), 2),
        (now - Worker.seen_at > Worker.silence_limit_s, 1),
        else_=0,
    )
    found = session.scalars(query.order_by(rank, Worker.host, Worker.started_at)).all()
    slots = _slots(session, [worker.id for worker in found])
    rows = [
        WorkerRow(
            id=worker.id,
            host=worker.host,
            pid=worker.pid,
            version=worker.version,
            started_at=worker.started_at,
            seen_at=worker.seen_at,
            stopped_at=worker.stopped_at,
            alive=worker.stopped_at is None and now - worker.seen_at <= worker.silence_limit_s,
            draining=worker.drain_at is not None,
            slots=tuple(slots.get(worker.id, ())),
        )
        for worker in found
    ]
    return sorted(rows, key=lambda row: (not row.alive, row.stopped_at is not None))


def queue_length(session: Session, owner_id: int | None = None) -> int:
    """How many trials wait; of one owner when given."""
    query = select(func.count()).select_from(Trial).where(Trial.state == TrialState.QUEUED)
    if owner_id is not None:
        query = query.where(Trial.owner_id == owner_id)
    return session.scalar(query) or 0


def _slots(session: Session, worker_ids: list[str]) -> dict[str, list[SlotRow]]:
    if not worker_ids:
        return {}
    query = (
        select(Slot, Lease.id, Lease.expires_at)
        .outerjoin(Lease, (Lease.slot_id == Slot.id) & Lease.ended_at.is_(None))
        .where(Slot.worker_id.in_(worker_ids))
        .order_by(Slot.worker_id, Slot.index)
    )
    found = session.execute(query).all()
    held = _held(session, [lease_id for _, lease_id, _ in found if lease_id is not None])
    slots: dict[str, list[SlotRow]] = {}
    for slot, lease_id, expires_at in found:
        slots.setdefault(slot.worker_id, []).append(
            SlotRow(
                id=slot.id,
                index=slot.index,
                device=slot.device,
                name=slot.name,
                gpu_uuid=slot.gpu_uuid,
                memory_mb=slot.memory_mb,
                kinds=tuple(slot.kinds),
                state=slot.state.value,
                reason=slot.reason,
                expires_at=expires_at,
                held=tuple(held.get(lease_id, ())) if lease_id is not None else (),
            )
        )
    return slots


def _held(session: Session, lease_ids: list[int]) -> dict[int, list[HeldTrial]]:
    if not lease_ids:
        return {}
    query = (
        select(Trial, User.name, Attempt.started_at, Attempt.resumed_epoch)
        .join(User, User.id == Trial.owner_id)
        .join(Attempt, (Attempt.trial_id == Trial.id) & (Attempt.fence == Trial.fence))
        .where(Trial.lease_id.in_(lease_ids))
        .order_by(Trial.id)
    )
    held: dict[int, list[HeldTrial]] = {}
    for trial, owner, started_at, resumed in session.execute(query):
        assert trial.lease_id is not None
        held.setdefault(trial.lease_id, []).append(
            HeldTrial(
                trial_id=trial.id,
                experiment_id=trial.experiment_id,
                owner_id=trial.owner_id,
                owner=owner,
                code_name=trial.code_name,
                started_at=started_at,
                progress_done=trial.progress_done,
                progress_total=trial.progress_total,
                progress_unit=trial.progress_unit,
                resumed_at=float(resumed or 0),
                pending=trial.cancel_requested or trial.wish is not None,
            )
        )
    return held


def queue_page(
    line: Line, owner_id: int | None, after: tuple[int, int] | None, limit: int
) -> list[tuple[int, int]]:
    """(place, id) of at most `limit` waiting trials in the order in which free slots would take
    them, after a (place, id). `owner_id` leaves out the others', not their places."""
    first = after[0] if after is not None else 0
    return [
        (row.place, row.waiter.trial_id)
        for row in line.places[first:]
        if owner_id in (None, row.waiter.owner_id)
    ][:limit]
