"""Why a run ended well before its last epoch, in words."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Event, Trial
from db.states import Wish

ENDED_EARLY = "ended_early"


def why_early(session: Session, trial: Trial) -> str | None:
    """Who stopped it, or how long it got no better; None where that is not known."""
    if trial.wish is Wish.STOP:
        asked = (
            select(Event.actor)
            .where(Event.trial_id == trial.id, Event.kind.in_(["wished", "resumed"]))
            .order_by(Event.id.desc())
            .limit(1)
        )
        actor = session.scalar(asked)
        return None if actor is None else f"Stopped by {actor.removeprefix('user ')}."
    patience = trial.spec.get("early_stopping_patience")
    if patience is None:
        return None
    return f"No better for {patience} epoch{'' if patience == 1 else 's'}."
