"""Whose turn it is at a slot: the order, the caps, age, and what the slot can serve.

Nothing is written here. `db.fairness` has the arithmetic; these are the looks into the queue.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, TextClause, func, or_, select, text
from sqlalchemy.orm import Session

from db import fairness
from db.clock import db_now
from db.fairness import Rules, Standing
from db.models import Lease, Trial, User
from db.standings import standings
from db.states import TrialState

# Spelled out: only then do the databases see that the indexes of what waits will do.
_QUEUED = text("trials.state = 'queued'")


@dataclass(frozen=True, slots=True)
class SlotIdentity:
    """A slot, and what it can serve: kinds of trial and digests of catalog entries."""

    slot_id: int
    worker_id: str
    device: str
    kinds: Sequence[str]
    code_digests: Sequence[str]
    data_digests: Sequence[str]


def due() -> tuple[ColumnElement[bool], ...]:
    """What a waiting trial must be to run at once: let go, and past its pause between tries."""
    return (Trial.held.is_(False), func.coalesce(Trial.not_before, 0.0) <= db_now())


def waits() -> tuple[ColumnElement[bool] | TextClause, ...]:
    """What may run at once, if there is a slot for it."""
    return (_QUEUED, *due())


def servable(slot: SlotIdentity) -> tuple[ColumnElement[bool], ...]:
    """What a trial must be for ``slot`` to run it."""
    return (
        Trial.device.in_(_devices(slot)),
        Trial.kind.in_(slot.kinds),
        Trial.code_digest.in_(slot.code_digests),
        or_(Trial.data_digest.is_(None), Trial.data_digest.in_(slot.data_digests)),
    )


def _devices(slot: SlotIdentity) -> tuple[str, str]:
    """What a trial may ask for to run on ``slot``."""
    return ("any", slot.device)


def next_trial(
    session: Session,
    slot: SlotIdentity,
    rules: Rules,
    now: float,
    traced: Collection[str] = (),
) -> tuple[int | None, bool]:
    """The trial whose turn it is, and whether it is its turn by age alone.

    One of the same experiment and class that the slot has ``traced`` already goes before it: that
    changes nobody's turn but the experiment's own order.
    """
    known = standings(session, rules, now)
    head = fair = _fair(session, slot, known)
    if head is not None and traced:
        fair = _traced_sibling(session, slot, head, traced) or head
    if fair is None or not fairness.may_take_by_age(_recent(session, slot, rules), rules):
        return fair, False
    full = [user_id for user_id, standing in known.items() if standing.is_full()]
    oldest = _oldest(session, slot, now - rules.ageing_s, full)
    return (fair, False) if oldest is None else (oldest, oldest not in (fair, head))


def has_turn(session: Session, slot: SlotIdentity, rules: Rules, now: float) -> bool:
    """Whether it is anybody's turn at ``slot``."""
    return _fair(session, slot, standings(session, rules, now)) is not None


def siblings(session: Session, slot: SlotIdentity, head: Trial, most: int) -> Sequence[Trial]:
    """Waiting trials of the same experiment that can be trained together with ``head``."""
    if most <= 0 or head.fuse_key is None or head.alone:
        return ()
    return session.scalars(
        select(Trial)
        .where(
            Trial.state == TrialState.QUEUED,
            Trial.experiment_id == head.experiment_id,
            Trial.fuse_key == head.fuse_key,
            Trial.alone.is_(False),
            Trial.id != head.id,
            *due(),
            *servable(slot),
        )
        .order_by(Trial.priority.desc(), Trial.id)
        .limit(most)
    ).all()


def _fair(session: Session, slot: SlotIdentity, known: Mapping[int, Standing]) -> int | None:
    """The trial whose turn it is by class and use."""
    for priority in fairness.CLASSES:
        found = fairness.first(_heads(session, slot, priority), known)
        if found is not None:
            return found
    return None


def _traced_sibling(
    session: Session, slot: SlotIdentity, head_id: int, traced: Collection[str]
) -> int | None:
    """The first waiting trial beside this one that the slot's runner has traced."""
    head = session.get_one(Trial, head_id)
    return session.scalar(
        select(Trial.id)
        .where(
            _QUEUED,
            Trial.experiment_id == head.experiment_id,
            Trial.owner_id == head.owner_id,
            Trial.priority == head.priority,
            Trial.trace_key.in_(traced),
            *due(),
            *servable(slot),
        )
        .order_by(Trial.id)
        .limit(1)
    )


def _heads(session: Session, slot: SlotIdentity, priority: int) -> dict[int, int]:
    """Each user's oldest trial of this class that ``slot`` can run, by the user's id."""
    # Two looks into an index a user, however many of their trials wait, and for which device.
    looks = [
        select(Trial.id)
        .where(
            _QUEUED,
            Trial.owner_id == User.id,
            Trial.priority == priority,
            Trial.device == device,
            *due(),
            *servable(slot),
        )
        .order_by(Trial.id)
        .limit(1)
        .correlate(User)
        .scalar_subquery()
        for device in _devices(slot)
    ]
    heads = {}
    for user_id, *found in session.execute(select(User.id, *looks)):
        trial_ids = [trial_id for trial_id in found if trial_id is not None]
        if trial_ids:
            heads[user_id] = min(trial_ids)
    return heads


def _recent(session: Session, slot: SlotIdentity, rules: Rules) -> Sequence[bool]:
    """Whether each of the slot's last leases was given by age, newest first."""
    return session.scalars(
        select(Lease.by_age)
        .where(Lease.slot_id == slot.slot_id)
        .order_by(Lease.id.desc())
        .limit(rules.ageing_turn - 1)
    ).all()


def _oldest(session: Session, slot: SlotIdentity, before: float, full: list[int]) -> int | None:
    """What waits for longest of what waits since ``before`` and ``slot`` can run."""
    since = func.coalesce(Trial.let_go_at, Trial.queued_at)
    return session.scalar(
        select(Trial.id)
        .where(
            _QUEUED,
            Trial.queued_at <= before,
            since <= before,
            Trial.owner_id.not_in(full),
            *due(),
            *servable(slot),
        )
        .order_by(since, Trial.id)
        .limit(1)
    )
