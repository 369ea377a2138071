"""Trials of a plan that somebody has a result of already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.models import Result, Trial, User
from db.states import TrialState
from db.trial_rows import configuration_digest
from labpool.planning import Plan, TrialPlan

# What one answer looks through of the results of as many configurations.
_DIGESTS_A_LOOK = 500
_MOST_RESULTS = 5000


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Trial ``number`` of the plan has succeeded before as ``trial_id``: the newest such."""

    number: int
    trial_id: int
    experiment_id: int
    owner: str
    finished_at: float | None
    metrics: Mapping[str, Any]


def duplicates_of(
    session: Session, planned: Plan, owner_id: int | None = None
) -> list[Duplicate]:  # fmt: skip
    """By number, those of the plan's trials that a result is there of; ``owner_id``: this user's.

    The same is the same resolved spec, name, notes, tags, priority and limits aside, with the same
    seed and the same code and data. What a person stopped early has no result of the whole.
    """
    wanted: dict[tuple[Any, ...], list[int]] = {}
    digests: dict[str, None] = {}
    for trial in planned.trials:
        digest = configuration_digest(trial.spec)
        digests[digest] = None
        wanted.setdefault(_key_of_plan(digest, trial), []).append(trial.number)
    seeds = {trial.seed for trial in planned.trials}
    found: dict[int, Duplicate] = {}
    for part in _parts(list(digests)):
        for key, one in _results(session, part, _narrowed(seeds, owner_id)):
            for number in wanted.get(key, ()):
                if number not in found:
                    found[number] = Duplicate(number, *one)
    return [found[number] for number in sorted(found)]


def _key_of_plan(digest: str, trial: TrialPlan) -> tuple[Any, ...]:
    engine = trial.spec.get("engine")
    return digest, trial.seed, trial.code_digest, trial.data_digest, trial.device, engine


def _narrowed(seeds: set[int], owner_id: int | None) -> list[ColumnElement[bool]]:
    conditions = [Trial.owner_id == owner_id] if owner_id is not None else []
    if len(seeds) <= _DIGESTS_A_LOOK:
        conditions.append(Trial.seed.in_(seeds))
    return conditions


def _results(
    session: Session, digests: Sequence[str], narrowed: Sequence[ColumnElement[bool]]
) -> Iterator[tuple[tuple[Any, ...], tuple[int, int, str, float | None, Mapping[str, Any]]]]:
    query = (
        select(Trial, Result.metrics, Result.summary, User.name)
        .join(Result, (Result.trial_id == Trial.id) & (Result.fence == Trial.fence))
        .join(User, User.id == Trial.owner_id)
        .where(
            Trial.configuration_digest.in_(digests),
            Trial.state == TrialState.SUCCEEDED,
            *narrowed,
        )
        .order_by(Trial.id.desc())
        .limit(_MOST_RESULTS)
    )
    for trial, metrics, summary, owner in session.execute(query):
        if summary.get("stopped_by_user"):
            continue
        key = (
            trial.configuration_digest, trial.seed, trial.code_digest, trial.data_digest,
            trial.device, trial.spec.get("engine"),
        )  # fmt: skip
        yield key, (trial.id, trial.experiment_id, owner, trial.finished_at, metrics)


def _parts(digests: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(digests), _DIGESTS_A_LOOK):
        yield digests[start : start + _DIGESTS_A_LOOK]
