"""A sweep as its search sees it."""

from __future__ import annotations

import math
from collections import defaultdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Attempt, Experiment, Result, SweepReport, Trial
from db.states import TrialState
from labpool import search
from labpool.spec import SPEC, SweepSpec


def sweep_spec(experiment: Experiment) -> SweepSpec:
    """The spec of a sweep. Raises TypeError for what is none."""
    spec = SPEC.validate_python(experiment.spec)
    if not isinstance(spec, SweepSpec):
        raise TypeError(f"experiment {experiment.id} is no sweep")
    return spec


def rows_of(session: Session, experiment: Experiment, spec: SweepSpec) -> list[search.Row]:
    """Its planned trials, by number; not those that people had run again besides."""
    trials = session.scalars(
        select(Trial)
        .where(Trial.experiment_id == experiment.id, Trial.point.is_not(None))
        .order_by(Trial.point)
        .execution_options(populate_existing=True)
    ).all()
    metrics = _metrics(session, experiment.id)
    reports = _reports(session, experiment.id) if search.reports(spec) else {}
    used = _slot_seconds(session, experiment.id) if spec.budget_slot_seconds else {}
    return [
        search.Row(
            trial_id=trial.id,
            number=trial.point or 0,
            state=state_told(trial),
            values=trial.varied,
            metrics=metrics.get(trial.id, {}),
            rung=trial.rung or 0,
            reports=reports.get(trial.id, {}),
            slot_seconds=used.get(trial.id, 0.0),
        )
        for trial in trials
    ]


def state_told(trial: Trial) -> str:
    """What the search takes a trial to be.

    What its owner keeps back is on its way, however long that takes: it is not to be promoted or
    pruned meanwhile, and no slot will take it, so nothing need wait until it has had its turn.
    """
    kept_back = trial.held and trial.state in (TrialState.QUEUED, TrialState.PAUSED)
    if kept_back or (trial.state is TrialState.PAUSED and not trial.at_rung):
        return TrialState.RUNNING.value
    return trial.state.value


def _metrics(session: Session, experiment_id: int) -> dict[int, dict[str, float]]:
    found = session.execute(
        select(Result.trial_id, Result.metrics)
        .join(Trial, Trial.id == Result.trial_id)
        .where(Trial.experiment_id == experiment_id)
    )
    return {trial_id: dict(metrics) for trial_id, metrics in found}


def _reports(session: Session, experiment_id: int) -> dict[int, dict[int, float]]:
    found: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for trial_id, epoch, value in session.execute(
        select(SweepReport.trial_id, SweepReport.epoch, SweepReport.value)
        .join(Trial, Trial.id == SweepReport.trial_id)
        .where(Trial.experiment_id == experiment_id)
    ):
        found[trial_id][epoch] = math.nan if value is None else value
    return found


def _slot_seconds(session: Session, experiment_id: int) -> dict[int, float]:
    found = session.execute(
        select(Attempt.trial_id, func.sum(Attempt.slot_seconds))
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(Trial.experiment_id == experiment_id, Attempt.charged.is_(True))
        .group_by(Attempt.trial_id)
    )
    return {trial_id: seconds or 0.0 for trial_id, seconds in found}
