"""The queue in the order in which free slots would take it."""

from __future__ import annotations

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from db import clock
from db.claims import due
from db.fairness import Place, Rules, Standing, Waiter, order
from db.models import Trial
from db.standings import standings
from db.states import TrialState


def told_ahead(
    session: Session, rules: Rules, known: dict[int, Standing] | None = None
) -> list[Place]:
    """Every waiting trial in its turn, by the order that `db.claims` takes them in.

    A slot passes over what it cannot serve, and takes out of turn what has waited for very long.
    `known` are the users' standings where they have been read already.
    """
    if known is None:
        known = standings(session, rules, clock.now(session))
    query = select(Trial.id, Trial.owner_id, Trial.priority, and_(*due())).where(
        Trial.state == TrialState.QUEUED
    )
    waiters = (Waiter(row[0], row[1], row[2], bool(row[3])) for row in session.execute(query))
    return order(waiters, known)
