"""Claims and ends of trials, and what people have used."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import claims, clock, owner
from db.fairness import Rules
from db.models import Usage
from labpool.catalog import Catalog
from tests.support.pool import person, slot, trial

TTL_S = 10 * 24 * 3600.0
RULES = Rules(ageing_s=3600.0, ageing_turn=4)


def take(session: Session, catalog: Catalog, rules: Rules = RULES) -> int | None:
    """The trial that a slot of its own gets."""
    return take_with(session, slot(session, catalog), rules)


def take_with(
    session: Session, here: claims.SlotIdentity, rules: Rules = RULES, most: int = 1
) -> int | None:
    """The trial that this slot gets."""
    found = claims.claim(session, here, TTL_S, most, rules)
    return found.trials[0].trial_id if found is not None else None


def end(session: Session, trial_id: int, charged: bool = True) -> None:
    """A good end, or uncharged back into the queue."""
    fence = trial(session, trial_id).fence
    if charged:
        owner.succeed(session, trial_id, fence, {}, {})
    else:
        owner.release(session, trial_id, fence, "the worker stops")


def used(session: Session, name: str, slot_seconds: float) -> None:
    """What somebody has used by now."""
    now = clock.now(session)
    session.add(Usage(user_id=person(session, name).id, slot_seconds=slot_seconds, as_of=now))
    session.flush()
