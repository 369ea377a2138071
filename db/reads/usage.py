"""What each user holds and has used of the pool."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from db import clock
from db.models import Trial, Usage, User
from db.states import TrialState
from db.usage import decayed


@dataclass(frozen=True, slots=True)
class UsageRow:
    """`slot_seconds` count as they do now: half of them are forgotten every week."""

    user_id: int
    user: str
    slot_seconds: float
    running: int
    queued: int
    share: float = 1.0
    max_running: int | None = None


def usage_by_user(session: Session) -> list[UsageRow]:
    """Everybody who holds, waits or has used something; who used most comes first."""
    now = clock.now(session)
    counts = (
        select(
            Trial.owner_id,
            func.sum(case((Trial.state == TrialState.RUNNING, 1), else_=0)).label("running"),
            func.sum(case((Trial.state == TrialState.QUEUED, 1), else_=0)).label("queued"),
        )
        .where(Trial.state.in_((TrialState.RUNNING, TrialState.QUEUED)))
        .group_by(Trial.owner_id)
        .subquery("counts")
    )
    query = (
        select(User, Usage, counts.c.running, counts.c.queued)
        .outerjoin(Usage, Usage.user_id == User.id)
        .outerjoin(counts, counts.c.owner_id == User.id)
        .where(Usage.user_id.is_not(None) | counts.c.owner_id.is_not(None))
    )
    rows = [
        UsageRow(
            user_id=user.id,
            user=user.name,
            slot_seconds=decayed(used.slot_seconds, now - used.as_of) if used else 0.0,
            running=int(running or 0),
            queued=int(queued or 0),
            share=user.share,
            max_running=user.max_running,
        )
        for user, used, running, queued in session.execute(query)
    ]
    return sorted(rows, key=lambda row: (-row.slot_seconds, row.user))
