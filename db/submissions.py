"""A plan becomes an experiment and its trials, all in one transaction or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import clock, own_sources, searching, transitions
from db.clock import db_now
from db.errors import IdempotencyConflict, QueueFull
from db.models import Experiment, IdempotencyKey, Trial, User
from db.rows import insert_if_absent
from db.states import TrialState
from db.trial_rows import trial_row
from db.uploads import refuse_deleted
from labpool.planning import Plan
from labpool.uploads import DIGEST as UPLOADS


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a submission came to. ``replayed`` when an earlier request had made it."""

    experiment_id: int
    trial_ids: tuple[int, ...]
    replayed: bool


def submit(
    session: Session,
    owner: User,
    plan: Plan,
    key: str | None = None,
    body_digest: str = "",
    max_queued: int = 5000,
) -> Submitted:
    """Store ``plan`` for ``owner``. ``key`` is the request's Idempotency-Key.

    Raises IdempotencyConflict when the key came with another body, QueueFull past ``max_queued``.
    """
    if key is not None:
        earlier = _replay(session, owner, key, body_digest)
        if earlier is not None:
            return earlier
    refuse_when_full(session, owner.id, len(plan.trials), max_queued)
    refuse_deleted(session, _uploads_of(plan))
    own_sources.keep(session, owner.id, plan.sources)
    now = clock.now(session)
    experiment = Experiment(
        owner_id=owner.id,
        kind=plan.kind,
        name=plan.name,
        notes=plan.notes,
        tags=list(plan.tags),
        spec=dict(plan.spec),
        created_at=now,
        made_from=None if plan.made_from is None else dict(plan.made_from),
    )
    session.add(experiment)
    session.flush()
    trials = [trial_row(item, experiment.id, owner.id, now) for item in plan.trials]
    searching.begin(plan, trials)
    transitions.enqueue(session, trials, actor=f"user {owner.name}")
    if key is not None:
        session.get_one(IdempotencyKey, (owner.id, key)).experiment_id = experiment.id
    return Submitted(experiment.id, tuple(trial.id for trial in trials), replayed=False)


def _uploads_of(plan: Plan) -> set[str]:
    return {
        trial.spec["dataset_parameters"]["key"]
        for trial in plan.trials
        if trial.data_digest == UPLOADS
    }


def is_new(session: Session, user_id: int, key: str, body_digest: str, experiment_id: int) -> bool:
    """Whether this key was not used yet for what is asked of that experiment; it is now.

    Raises IdempotencyConflict when it came with something else.
    """
    if insert_if_absent(
        session, IdempotencyKey, user_id=user_id, key=key, body_sha256=body_digest,
        created_at=db_now(), experiment_id=experiment_id,
    ):  # fmt: skip
        return True
    if session.get_one(IdempotencyKey, (user_id, key)).body_sha256 != body_digest:
        raise IdempotencyConflict(f"{key!r} came first with a different body")
    return False


def _replay(session: Session, owner: User, key: str, body_digest: str) -> Submitted | None:
    """Take the key; or, when somebody has it, what they made with it."""
    if insert_if_absent(
        session,
        IdempotencyKey,
        user_id=owner.id,
        key=key,
        body_sha256=body_digest,
        created_at=db_now(),
    ):
        return None
    return replayed(session, owner, key, body_digest)


def replayed(session: Session, owner: User, key: str, body_digest: str) -> Submitted | None:
    """What ``owner`` made with this key before, or None. Raises IdempotencyConflict.

    Asked before a spec is checked, so that a repeat of what was acknowledged is never refused
    because the catalog or a limit has changed since.
    """
    row = session.get(IdempotencyKey, (owner.id, key))
    if row is None:
        return None
    if row.body_sha256 != body_digest or row.experiment_id is None:
        raise IdempotencyConflict(f"{key!r} came first with a different body")
    ids = session.scalars(
        select(Trial.id)
        .where(Trial.experiment_id == row.experiment_id, Trial.parent_id.is_(None))
        .order_by(Trial.number)
    )
    return Submitted(row.experiment_id, tuple(ids), replayed=True)


def refuse_when_full(session: Session, owner_id: int, more: int, limit: int) -> None:
    """Raises QueueFull when ``more`` trials would bring the owner past ``limit`` waiting ones."""
    # Two submissions at once must not both see room for one; the user's row makes them take turns.
    # Both hold a key share of it by now, for their keys refer to it: the stronger lock of Postgres
    # would have each wait for the other.
    session.execute(select(User.id).where(User.id == owner_id).with_for_update(key_share=True))
    waiting = session.scalar(
        select(func.count())
        .select_from(Trial)
        .where(Trial.owner_id == owner_id, Trial.state == TrialState.QUEUED)
    )
    if (waiting or 0) + more > limit:
        raise QueueFull(
            f"{waiting} wait and {more} more would pass the limit of {limit}. Wait until some have "
            "run, or end some with `labpool cancel`; an admin sets the limit with "
            "LABPOOL_MAX_QUEUED_PER_USER."
        )
