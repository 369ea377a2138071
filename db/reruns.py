"""A trial run again to see whether it comes to the same: the new trial, and what was found."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Attempt, Result, Trial, User
from db.states import TrialState
from db.submissions import submit
from labpool.planning import Plan
from labpool.points import Run, points_of
from labpool.reproduction import Outcome, Reproduction, reproduction
from labpool.spread import Spread

MOST_RERUNS = 20
_MOST_SEEDS = 200


@dataclass(frozen=True, slots=True)
class Rerun:
    """A trial that ran another one again, and its state."""

    trial_id: int
    owner_id: int
    state: str


def rerun(session: Session, first: Trial, planned: Plan, by: User, max_queued: int) -> Trial:
    """Submit ``planned``, the plan of ``first`` again, for ``by``; its trial, linked to ``first``.

    Raises QueueFull.
    """
    [trial_id] = submit(session, by, planned, max_queued=max_queued).trial_ids
    again = session.get_one(Trial, trial_id)
    again.parent_id = first.id
    session.flush()
    return again


def reruns_of(session: Session, trial_id: int, owner_id: int | None = None) -> list[Rerun]:
    """The newest trials that ran this one again; ``owner_id``: only this user's."""
    query = select(Trial.id, Trial.owner_id, Trial.state).where(Trial.parent_id == trial_id)
    if owner_id is not None:
        query = query.where(Trial.owner_id == owner_id)
    found = session.execute(query.order_by(Trial.id.desc()).limit(MOST_RERUNS))
    return [Rerun(row_id, owner, state.value) for row_id, owner, state in found]


def reproduction_of(
    session: Session, trial_id: int, owner_id: int | None = None
) -> Reproduction | None:
    """How ``trial_id`` compares with the trial that it ran again; open until it has a result.

    None when it ran none again, or one without a result, or one of another user than ``owner_id``.
    """
    again = session.get_one(Trial, trial_id)
    first = session.get(Trial, again.parent_id) if again.parent_id is not None else None
    if first is None or first.state is not TrialState.SUCCEEDED:
        return None
    if owner_id is not None and first.owner_id != owner_id:
        return None
    outcomes = [_outcome(session, trial) for trial in (first, again)]
    if outcomes[0] is None:
        return None
    if outcomes[1] is None:
        return Reproduction("open")
    spreads = _spreads(session, first, outcomes[0].device, without=again.id)
    return reproduction(outcomes[0], outcomes[1], spreads)


def _outcome(session: Session, trial: Trial) -> Outcome | None:
    found = session.execute(
        select(Result, Attempt.environment)
        .join(Attempt, (Attempt.trial_id == Result.trial_id) & (Attempt.fence == Result.fence))
        .where(Result.trial_id == trial.id, Result.fence == trial.fence)
    ).one_or_none()
    if found is None or trial.state is not TrialState.SUCCEEDED:
        return None
    result, environment = found
    return Outcome(
        metrics=result.metrics,
        summary=result.summary,
        environment=environment or {},
        device=result.device,
        code_digest=trial.code_digest,
        data_digest=trial.data_digest,
        ended_early=trial.ended_early,
    )


def _spreads(session: Session, first: Trial, device: str, without: int) -> dict[str, Spread]:
    """The metrics of the first one's configuration over its owner's seeds, as a board has them."""
    query = (
        select(Trial.id, Trial.seed, Result.metrics)
        .join(Result, (Result.trial_id == Trial.id) & (Result.fence == Trial.fence))
        .where(
            Trial.configuration_digest == first.configuration_digest,
            Trial.owner_id == first.owner_id,
            Trial.code_digest == first.code_digest,
            Trial.data_digest.is_not_distinct_from(first.data_digest),
            Trial.state == TrialState.SUCCEEDED,
            Result.device == device,
            # Of its own seed the first itself counts, not what ran it again.
            (Trial.seed != first.seed) | (Trial.id == first.id),
            Trial.id != without,
        )
        .order_by(Trial.id.desc())
        .limit(_MOST_SEEDS)
    )
    runs = [Run(row_id, seed, {}, metrics) for row_id, seed, metrics in session.execute(query)]
    points = points_of(runs)
    return dict(points[0].metrics) if points else {}
