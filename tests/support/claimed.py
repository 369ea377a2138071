"""A claimed trial, and how it stands."""

from __future__ import annotations

from sqlalchemy import func, select

from db.engine import Database
from db.models import Lease
from db.states import TrialState
from tests.support.pool import trial

TTL_S = 90.0


def state_of(database: Database, trial_id: int) -> TrialState:
    """As it is now."""
    with database.snapshot() as session:
        return trial(session, trial_id).state


def live_leases(database: Database) -> int:
    """How many have not ended."""
    with database.snapshot() as session:
        return session.scalar(select(func.count()).where(Lease.ended_at.is_(None))) or 0
