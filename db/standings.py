"""What each user holds and has used, as the order of the queue needs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.fairness import Rules, Standing
from db.models import Attempt, Lease, Trial, Usage, User
from db.states import TrialState
from db.usage import decayed


@dataclass(slots=True)
class _Held:
    """Slots that a user's trials hold, and what these have used and is not charged yet."""

    leases: set[int] = field(default_factory=set)
    seconds: float = 0.0


def standings(
    session: Session, rules: Rules, now: float, only: Iterable[int] | None = None
) -> dict[int, Standing]:
    """Every user's standing by id; of `only` some where these are enough."""
    held = _held(session, now)
    query = select(
        User.id, User.share, User.max_running, Usage.slot_seconds, Usage.as_of
    ).outerjoin(Usage, Usage.user_id == User.id)
    if only is not None:
        query = query.where(User.id.in_(list(only)))
    found = {}
    for user_id, share, own_limit, slot_seconds, as_of in session.execute(query):
        at_work = held.get(user_id, _NOTHING)
        charged = 0.0 if slot_seconds is None else decayed(slot_seconds, now - as_of)
        limit = rules.max_running if own_limit is None else own_limit
        found[user_id] = Standing(share, len(at_work.leases), charged + at_work.seconds, limit)
    return found


_NOTHING = _Held()


def _held(session: Session, now: float) -> dict[int, _Held]:
    """A slot counts once, however many trials share it; each of them has its part of the time."""
    members = (
        select(func.count())
        .select_from(Attempt)
        .where(Attempt.lease_id == Lease.id)
        .correlate(Lease)
        .scalar_subquery()
    )
    query = (
        select(Trial.owner_id, Lease.id, Lease.created_at, members)
        .join(Lease, Lease.id == Trial.lease_id)
        .where(Trial.state == TrialState.RUNNING)
    )
    held: dict[int, _Held] = {}
    for owner_id, lease_id, created_at, count in session.execute(query):
        of_owner = held.setdefault(owner_id, _Held())
        of_owner.leases.add(lease_id)
        of_owner.seconds += max(0.0, now - created_at) / max(1, count)
    return held
