"""The event log of a trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Event


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    at: float
    kind: str
    fence: int | None
    from_state: str | None
    to_state: str | None
    actor: str
    data: Mapping[str, Any]


def events_of_trial(
    session: Session, trial_id: int, after_id: int = 0, limit: int = 100
) -> list[EventRow]:
    """At most `limit` events with ids above `after_id`, oldest first."""
    query = (
        select(Event)
        .where(Event.trial_id == trial_id, Event.id > after_id)
        .order_by(Event.id)
        .limit(limit)
    )
    return [
        EventRow(
            id=event.id,
            at=event.at,
            kind=event.kind,
            fence=event.fence,
            from_state=event.from_state.value if event.from_state else None,
            to_state=event.to_state.value if event.to_state else None,
            actor=event.actor,
            data=event.data,
        )
        for event in session.scalars(query)
    ]
