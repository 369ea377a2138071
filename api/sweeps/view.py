"""A sweep as a whole: all that its page and its JSON are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from api.sweeps.costs import Cost, cost_of
from api.sweeps.judging import Judge, comparable, judge_of
from api.sweeps.progress import Step, Use, steps_of
from api.sweeps.rungs import Rung, rungs_of
from db.reads.sweeps import Sweep, sweep_of
from labpool import search
from labpool.search.importance import LEAST_TRIALS, Importance, importances
from labpool.search.repeats import times

MOST_GROUPS = 20


@dataclass(frozen=True, slots=True)
class Weights:
    """The importance of each parameter, by ``trials`` that have a value of ``metric``; after
    ``epochs`` of training where some are trained longer than others. ``lacking``: why there is
    none."""

    metric: str
    trials: int
    epochs: int | None
    parameters: Sequence[Importance]
    lacking: str


@dataclass(frozen=True, slots=True)
class Group:
    """Trials that one slot trained together as one program; ``slot_seconds`` of all of them."""

    trial_ids: Sequence[int]
    slot: str
    started_at: float
    ended_at: float | None
    slot_seconds: float


@dataclass(frozen=True, slots=True)
class SweepLine:
    """One trial: ``value`` is what it has come to by the metric that judges."""

    id: int
    number: int
    state: str
    rung: int | None
    value: float | None
    varied: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SweepView:
    """``planned`` counts the trials that it comes to; ``groups`` are the newest, of
    ``group_count``."""

    judge: Judge | None
    names: Sequence[str]
    planned: int
    halt: str | None
    rungs: Sequence[Rung]
    steps: Sequence[Step]
    weights: Weights
    cost: Cost
    groups: Sequence[Group]
    group_count: int
    together: Mapping[int, Sequence[int]]
    trials: Sequence[SweepLine]
    elapsed_s: float


def view_of(session: Session, experiment_id: int) -> SweepView | None:
    """Everything about the sweep; None where the experiment is none."""
    sweep = sweep_of(session, experiment_id)
    if sweep is None:
        return None
    judge = judge_of(sweep)
    names = list(sweep.spec.space)
    if times(sweep.spec) > 1 and "seed" not in names:
        names.append("seed")
    groups = _groups(sweep)
    return SweepView(
        judge=judge,
        names=names,
        planned=max(len(sweep.trials), search.count(sweep.spec)),
        halt=sweep.halt,
        rungs=rungs_of(sweep, judge),
        steps=steps_of(sweep, judge),
        weights=_weights(sweep, judge, names),
        cost=cost_of(session, sweep),
        groups=groups[:MOST_GROUPS],
        group_count=len(groups),
        together=_together(sweep),
        trials=[
            SweepLine(
                id=trial.row.trial_id,
                number=trial.row.number,
                state=trial.state,
                rung=trial.rung,
                value=judge.value(trial) if judge else None,
                varied=trial.row.values,
            )
            for trial in sweep.trials
        ],
        elapsed_s=_elapsed_s(sweep),
    )


def _elapsed_s(sweep: Sweep) -> float:
    """From the submission to the last end, or to now while anything may go on."""
    ends = [trial.finished_at for trial in sweep.trials]
    known = [end for end in ends if end is not None]
    last = max(known) if known and len(known) == len(ends) else sweep.now
    return max(0.0, last - sweep.created_at)


def _weights(sweep: Sweep, judge: Judge | None, names: Sequence[str]) -> Weights:
    if judge is None:
        return Weights("", 0, None, (), "No trial has a result yet.")
    found = [
        (trial.row.values, judge.score(value))
        for trial in sweep.trials
        if (value := comparable(sweep, judge, trial)) is not None
    ]
    epochs = search.epochs(sweep.spec, 0)
    if len(found) < LEAST_TRIALS:
        lacking = (
            f"Told from {LEAST_TRIALS} trials on that have a value; {len(found)} of "
            f"{len(sweep.trials)} do."
        )
        return Weights(judge.metric, len(found), epochs, (), lacking)
    values, scores = [one for one, _ in found], [score for _, score in found]
    return Weights(judge.metric, len(found), epochs, importances(values, scores, names), "")


def _groups(sweep: Sweep) -> list[Group]:
    """The newest first."""
    use = Use(sweep)
    by_lease: dict[int, list[Any]] = {}
    for stint in sweep.stints:
        by_lease.setdefault(stint.lease_id, []).append(stint)
    return [
        Group(
            trial_ids=sorted(stint.trial_id for stint in stints),
            slot=stints[0].slot,
            started_at=min(stint.started_at for stint in stints),
            ended_at=None
            if any(stint.ended_at is None for stint in stints)
            else max(stint.ended_at for stint in stints),
            slot_seconds=sum(use.of(stint) for stint in stints),
        )
        for _, stints in sorted(by_lease.items(), reverse=True)
        if len(stints) > 1
    ]


def _together(sweep: Sweep) -> dict[int, list[int]]:
    """By trial, those that shared its newest stint."""
    members: dict[int, list[int]] = {}
    for stint in sweep.stints:
        members.setdefault(stint.lease_id, []).append(stint.trial_id)
    newest = {stint.trial_id: stint.lease_id for stint in sweep.stints}
    return {
        trial_id: [other for other in sorted(members[lease]) if other != trial_id]
        for trial_id, lease in newest.items()
        if len(members[lease]) > 1
    }
