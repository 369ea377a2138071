"""What changed since one looked last: for those who wait for changes instead of asking again.

Ends and beginnings stand in the append-only event log. Progress and curves of running trials do
not; they are few (one a slot), so their state is read as a whole and compared.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.clock import db_now
from db.models import (
    Artifact,
    Attempt,
    Checkpoint,
    Event,
    MetricChunk,
    Slot,
    Token,
    Trial,
    User,
    Worker,
)
from db.workers import alive

MOST_EVENTS = 5000


class Touched(NamedTuple):
    """A trial that something happened to, with its experiment and owner."""

    trial_id: int
    experiment_id: int
    owner_id: int


class Position(NamedTuple):
    """How far somebody has seen: the last event and the last chunk of a curve, by id."""

    event_id: int
    chunk_id: int


@dataclass(frozen=True, slots=True)
class News:
    """Events by id with what each touched. `complete` is false when there were too many to read."""

    events: dict[int, Touched | None] = field(default_factory=dict)
    complete: bool = True


def position(session: Session) -> Position:
    """Where the log and the curves end now."""
    last_event, last_chunk = session.execute(
        select(
            select(func.max(Event.id)).scalar_subquery(),
            select(func.max(MetricChunk.id)).scalar_subquery(),
        )
    ).one()
    return Position(last_event or 0, last_chunk or 0)


def events_after(session: Session, event_id: int, most: int = MOST_EVENTS) -> News:
    """The events above `event_id`, in order."""
    query = (
        select(Event.id, Trial.id, Trial.experiment_id, Trial.owner_id)
        .outerjoin(Trial, Trial.id == Event.trial_id)
        .where(Event.id > event_id)
        .order_by(Event.id)
        .limit(most + 1)
    )
    found = session.execute(query).all()
    events: dict[int, Touched | None] = {
        row_id: None if trial_id is None else Touched(trial_id, experiment_id, owner_id)
        for row_id, trial_id, experiment_id, owner_id in found[:most]
    }
    return News(events, len(found) <= most)


def running(session: Session) -> dict[Touched, tuple[Any, ...]]:
    """All that moves while a trial runs: progress, curves, log, files, a wish to cancel."""
    chunk = select(func.max(MetricChunk.id)).where(
        MetricChunk.trial_id == Trial.id, MetricChunk.fence == Trial.fence
    )
    checkpoint = select(func.max(Checkpoint.id)).where(Checkpoint.trial_id == Trial.id)
    artifact = select(func.max(Artifact.created_at)).where(Artifact.trial_id == Trial.id)
    query = (
        select(
            Trial.id,
            Trial.experiment_id,
            Trial.owner_id,
            Trial.fence,
            Trial.progress_done,
            Trial.progress_total,
            Trial.cancel_requested,
            Attempt.log_bytes,
            Attempt.environment.is_(None),
            chunk.scalar_subquery(),
            checkpoint.scalar_subquery(),
            artifact.scalar_subquery(),
        )
        .outerjoin(Attempt, (Attempt.trial_id == Trial.id) & (Attempt.fence == Trial.fence))
        # Invariant I3: exactly the running ones have a lease, and that has an index.
        .where(Trial.lease_id.is_not(None))
    )
    return {Touched(*row[:3]): tuple(row[3:]) for row in session.execute(query)}


def pool_state(session: Session) -> tuple[Any, ...]:
    """The slots of the workers that are alive, as far as the pool's page shows them."""
    query = (
        select(Slot.id, Slot.state, Slot.reason, Worker.drain_at)
        .join(Worker, Worker.id == Slot.worker_id)
        .where(alive())
        .order_by(Slot.id)
    )
    return tuple(tuple(row) for row in session.execute(query))


def touched_since(
    session: Session, seen: Position, trial_ids: Collection[int], experiment_ids: Collection[int]
) -> tuple[set[int], set[int], bool]:
    """Of these trials and experiments those with news since `seen`; and whether anything has."""
    points = select(MetricChunk.id).where(
        MetricChunk.trial_id == Trial.id, MetricChunk.id > seen.chunk_id
    )
    events = select(Event.id).where(Event.trial_id == Trial.id, Event.id > seen.event_id)
    news = or_(points.exists(), events.exists())
    trials = session.scalars(select(Trial.id).where(Trial.id.in_(trial_ids), news))
    experiments = session.scalars(
        select(Trial.experiment_id).where(Trial.experiment_id.in_(experiment_ids), news).distinct()
    )
    anything = position(session).event_id > seen.event_id
    return set(trials), set(experiments), anything


def still_valid(session: Session, token_ids: Collection[int]) -> set[int]:
    """Which of these tokens still let somebody in. They were authenticated before."""
    query = (
        select(Token.id)
        .join(User, User.id == Token.user_id)
        .where(
            Token.id.in_(token_ids),
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > db_now()),
            User.disabled_at.is_(None),
        )
    )
    return set(session.scalars(query))
