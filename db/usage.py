"""What each user has used of the pool, forgotten by half every week."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock
from db.models import Usage
from db.rows import insert_if_absent

HALF_LIFE_S = 7 * 24 * 3600.0


def decayed(slot_seconds: float, age_s: float) -> float:
    """``slot_seconds`` as they count after ``age_s`` seconds."""
    return slot_seconds * float(0.5 ** (max(0.0, age_s) / HALF_LIFE_S))


def charge(session: Session, user_id: int, slot_seconds: float) -> None:
    """Add to a user's use."""
    now = clock.now(session)
    insert_if_absent(session, Usage, user_id=user_id, slot_seconds=0.0, as_of=now)
    row = session.scalars(
        select(Usage)
        .where(Usage.user_id == user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    row.slot_seconds = decayed(row.slot_seconds, now - row.as_of) + slot_seconds
    row.as_of = now
