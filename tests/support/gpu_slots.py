"""A GPU of a test's own, and how its slots stand."""

from __future__ import annotations

from sqlalchemy import select

from db.engine import Database
from db.models import Slot
from db.states import SlotState

KINDS = ("train", "benchmark")


def slots(database: Database) -> list[tuple[SlotState, str | None]]:
    """The state of each slot, and why it claims nothing."""
    with database.snapshot() as session:
        return [(row.state, row.reason) for row in session.scalars(select(Slot).order_by(Slot.id))]
