"""The append-only log of what happened."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from db.clock import db_now
from db.models import Event, Trial
from db.states import TrialState


def record(
    session: Session,
    kind: str,
    trial: Trial,
    *,
    actor: str,
    fence: int,
    from_state: TrialState | None = None,
    to_state: TrialState | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Append what happened to ``trial``. ``actor`` is ``user NAME``, ``worker ID`` or ``pool``."""
    session.execute(
        insert(Event).values(
            at=db_now(),
            kind=kind,
            experiment_id=trial.experiment_id,
            trial_id=trial.id,
            fence=fence,
            from_state=from_state,
            to_state=to_state,
            actor=actor[:200],
            data=data or {},
        )
    )
