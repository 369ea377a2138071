"""GPUs out of service: closed when a probe fails, opened by an administrator alone.

A quarantine belongs to the GPU, not to a worker: restarting the worker does not end it.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.orm import Session

from db.clock import db_now
from db.errors import NotPossible
from db.models import Event, Quarantine, Slot, User
from db.rows import insert_if_absent
from db.states import SlotState
from labpool.shares import gpu_of_share


def quarantine(session: Session, slot_id: int, host: str, reason: str) -> None:
    """Take the GPU of a slot out of service: no slot claims anything for it any more.

    All that share it close; what runs there goes on.
    """
    slot = session.get_one(Slot, slot_id)
    device = device_of(slot)
    added = insert_if_absent(
        session, Quarantine, device=device, name=gpu_of_share(slot.name), host=host, reason=reason,
        since=db_now(),
    )  # fmt: skip
    session.execute(
        update(Slot)
        .where(_slots_of(device), Slot.state == SlotState.READY)
        .values(state=SlotState.QUARANTINED, reason=reason)
    )
    if added:
        _record(session, "quarantined", f"worker {slot.worker_id}", device, reason)


def clear(session: Session, device: str, by: User) -> Quarantine:
    """Put a GPU back into service, named by its id or by the number of a slot that has it.

    Its slots notice by themselves. Raises NotPossible when it is not out of service.
    """
    if device.isdecimal() and len(device) < 19:
        slot = session.get(Slot, int(device))
        if slot is None:
            raise NotPossible(f"there is no slot {device}; `labpool pool` lists them")
        device = device_of(slot)
    row = session.scalars(
        select(Quarantine)
        .where(Quarantine.device == device, Quarantine.cleared_at.is_(None))
        .with_for_update()
    ).one_or_none()
    if row is None:
        raise NotPossible(f"{device} is not out of service")
    row.cleared_at = session.scalar(select(db_now()))
    row.cleared_by_id = by.id
    session.execute(
        update(Slot)
        .where(_slots_of(device), Slot.state == SlotState.QUARANTINED)
        .values(state=SlotState.READY, reason=None)
    )
    _record(session, "cleared", f"user {by.name}", device, row.reason)
    return row


def in_force(session: Session) -> list[Quarantine]:
    """The GPUs that are out of service, the longest first."""
    statement = select(Quarantine).where(Quarantine.cleared_at.is_(None))
    return list(session.scalars(statement.order_by(Quarantine.since)))


def reason_for_slot(session: Session, slot_id: int) -> str | None:
    """Why a slot is out of service; None when it may work."""
    row = session.execute(select(Slot.state, Slot.reason).where(Slot.id == slot_id)).one_or_none()
    if row is None or row.state is not SlotState.QUARANTINED:
        return None
    return row.reason or "no reason is recorded"


def device_of(slot: Slot) -> str:
    """The name of a slot's device for quarantines: its GPU's id, or the slot's own number."""
    return slot.gpu_uuid or f"slot-{slot.id}"


def _slots_of(device: str) -> ColumnElement[bool]:
    number = device.removeprefix("slot-")
    if number != device and number.isdigit():
        return Slot.id == int(number)
    return Slot.gpu_uuid == device


def _record(session: Session, kind: str, actor: str, device: str, reason: str) -> None:
    session.execute(
        insert(Event).values(
            at=db_now(), kind=kind, actor=actor[:200], data={"device": device, "reason": reason}
        )
    )
