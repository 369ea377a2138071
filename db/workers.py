"""Workers come, are seen and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from db import clock
from db.clock import db_now
from db.errors import ForeignStore, NotPossible, SecondHost
from db.models import PoolSetting, Slot, Worker
from db.quarantine import in_force
from db.rows import insert_if_absent
from db.states import SlotState

_STORE = "artifact_store_id"
# Fewer letters of an id are more likely a slip than a worker's.
SHORTEST_ID = 4


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """One start of a worker process. Digests are those of the catalog entries it can serve."""

    worker_id: str
    host: str
    pid: int
    version: str
    code_digests: Sequence[str]
    data_digests: Sequence[str]
    store_id: str
    silence_limit_s: float = 90.0


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """A slot of a worker, ``index`` from 0; memory in MiB where it is known."""

    index: int
    device: str
    name: str
    kinds: Sequence[str]
    gpu_uuid: str | None = None
    memory_mb: int | None = None


def register_worker(session: Session, info: WorkerInfo, slots: Sequence[SlotInfo]) -> list[int]:
    """Enter a worker and its slots; the slots' ids, in order.

    Raises SecondHost on SQLite when another host's worker is alive, ForeignStore when this
    worker's artifact store is not the pool's.
    """
    if session.get_bind().dialect.name == "sqlite":
        other = session.scalar(select(Worker.host).where(Worker.host != info.host, alive()))
        if other is not None:
            raise SecondHost(f"a worker of {other} is alive, this is {info.host}")
    bind_store(session, info.store_id)
    closed = {row.device: row.reason for row in in_force(session)}
    now = clock.now(session)
    session.add(
        Worker(
            id=info.worker_id,
            host=info.host,
            pid=info.pid,
            version=info.version,
            code_digests=list(info.code_digests),
            data_digests=list(info.data_digests),
            silence_limit_s=info.silence_limit_s,
            started_at=now,
            seen_at=now,
        )
    )
    rows = [
        Slot(
            worker_id=info.worker_id,
            index=slot.index,
            device=slot.device,
            name=slot.name,
            gpu_uuid=slot.gpu_uuid,
            memory_mb=slot.memory_mb,
            kinds=list(slot.kinds),
            state=SlotState.QUARANTINED if slot.gpu_uuid in closed else SlotState.READY,
            reason=closed.get(slot.gpu_uuid or ""),
        )
        for slot in slots
    ]
    session.flush()
    session.add_all(rows)
    session.flush()
    return [row.id for row in rows]


def bind_store(session: Session, store_id: str) -> None:
    """Tie the pool to its artifact store; raises ForeignStore when it is tied to another."""
    insert_if_absent(session, PoolSetting, name=_STORE, value=store_id)
    bound = session.scalars(select(PoolSetting.value).where(PoolSetting.name == _STORE)).one()
    if bound != store_id:
        raise ForeignStore(f"the pool's store is {bound}, this one is {store_id}")


def bound_store(session: Session) -> str | None:
    """The id of the artifact store that the pool is tied to; None before its first worker."""
    row = session.get(PoolSetting, _STORE)
    return None if row is None else row.value


def beat_worker(session: Session, worker_id: str) -> float:
    """Say that the worker lives; for how many seconds it had not said so.

    Raises SecondHost when another host took over meanwhile.
    """
    other = taken_over_by(session, worker_id)
    if other is not None:
        raise SecondHost(f"a worker of {other} is alive, and this one was silent for too long")
    silent_s = session.scalar(select(db_now() - Worker.seen_at).where(Worker.id == worker_id))
    session.execute(update(Worker).where(Worker.id == worker_id).values(seen_at=db_now()))
    return silent_s or 0.0


def taken_over_by(session: Session, worker_id: str) -> str | None:
    """On SQLite, the host of a living worker, where this one of another host is silent."""
    if session.get_bind().dialect.name != "sqlite":
        return None
    mine = aliased(Worker)
    found = select(Worker.host).where(
        mine.id == worker_id, ~alive(mine), Worker.host != mine.host, alive()
    )
    return session.scalar(found.limit(1))


def stop_worker(session: Session, worker_id: str) -> None:
    """Say that the worker ended; what it still held is left for the sweeper."""
    session.execute(
        update(Worker)
        .where(Worker.id == worker_id, Worker.stopped_at.is_(None))
        .values(stopped_at=db_now())
    )
    session.execute(
        update(Slot)
        .where(Slot.worker_id == worker_id, Slot.state == SlotState.READY)
        .values(state=SlotState.GONE)
    )


def note_slot(session: Session, slot_id: int, reason: str | None) -> None:
    """Say why a slot claims nothing just now, though it is in service; None when it does again."""
    session.execute(
        update(Slot).where(Slot.id == slot_id, Slot.state == SlotState.READY).values(reason=reason)
    )


def neighbours_on_cpu(session: Session, info: WorkerInfo) -> list[tuple[str, int, int]]:
    """(id, process, processor slots) of the other living workers on a worker's host."""
    statement = (
        select(Worker.id, Worker.pid, func.count())
        .join(Slot, Slot.worker_id == Worker.id)
        .where(Worker.host == info.host, Worker.id != info.worker_id, Slot.device == "cpu", alive())
        .group_by(Worker.id, Worker.pid)
    )
    return [(worker_id, pid, count) for worker_id, pid, count in session.execute(statement)]


def find_worker(session: Session, name: str) -> Worker:
    """The living worker of this id or on this host; the first letters of an id will do.

    Raises NotPossible unless there is just one.
    """
    living = select(Worker).where(alive()).order_by(Worker.started_at)
    named = or_(Worker.id == name, Worker.host == name)
    found = session.scalars(living.where(named)).all()
    if not found and len(name) >= SHORTEST_ID:
        found = session.scalars(living.where(Worker.id.startswith(name, autoescape=True))).all()
    if not found:
        raise NotPossible(f"no worker {name!r} is alive; `labpool pool` lists them")
    if len(found) > 1:
        ids = ", ".join(worker.id for worker in found)
        raise NotPossible(f"{name!r} has {len(found)} workers; name one of {ids}")
    return found[0]


def drain_worker(session: Session, name: str, drain: bool) -> Worker:
    """Have a worker finish what it holds and claim nothing more, or let it claim again.

    ``name`` is as for `find_worker`. Asking twice is no error. A worker started anew claims.
    """
    worker = find_worker(session, name)
    if drain != (worker.drain_at is not None):
        worker.drain_at = clock.now(session) if drain else None
    return worker


def alive(worker: type[Worker] = Worker) -> ColumnElement[bool]:
    """Whether a worker counts as alive."""
    return worker.stopped_at.is_(None) & (worker.seen_at > db_now() - worker.silence_limit_s)
