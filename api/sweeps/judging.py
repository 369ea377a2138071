"""By which metric a sweep's trials are judged, and what each has come to by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from db.reads.sweeps import Sweep, SweepTrial
from labpool import search
from labpool.measures import Direction, direction_by_name

# Where a sweep names no objective: never the test split, which chooses nothing.
_CHOSEN_BY = ("val_iou", "val_accuracy", "val_return", "val_loss", "median_ms")


@dataclass(frozen=True, slots=True)
class Judge:
    """A metric and the way that is better."""

    metric: str
    direction: Direction

    @property
    def sign(self) -> float:
        return 1.0 if self.direction == "maximize" else -1.0

    def score(self, value: float | None) -> float:
        """More is better; minus infinity for what is missing or not finite."""
        if value is None or not math.isfinite(value):
            return -math.inf
        return self.sign * value

    def better(self, values: Mapping[int, float]) -> int | None:
        """The key of the best value, the first of equals; None where none is finite."""
        finite = {key: value for key, value in values.items() if math.isfinite(value)}
        return max(finite, key=lambda key: (self.sign * finite[key], -key), default=None)

    def until(self, trial: SweepTrial, epoch: float) -> float | None:
        """The trial's best report of the epochs up to ``epoch``; None where it has none."""
        known = [v for at, v in trial.row.reports.items() if at <= epoch and math.isfinite(v)]
        return max(known, key=self.score) if known else None

    def value(self, trial: SweepTrial) -> float | None:
        """What it has come to: its result's, else its best epoch's."""
        result = trial.row.metrics.get(self.metric)
        if result is not None and math.isfinite(result):
            return result
        return self.until(trial, math.inf)


def judge_of(sweep: Sweep) -> Judge | None:
    """The sweep's objective, else the first metric that its results have of those that choose."""
    objective = sweep.spec.objective
    if objective is not None:
        direction = objective.direction or direction_by_name(objective.metric)
        return Judge(objective.metric, direction) if direction else None
    found = {name for trial in sweep.trials for name in trial.row.metrics}
    for name in _CHOSEN_BY:
        direction = direction_by_name(name)
        if name in found and direction:
            return Judge(name, direction)
    return None


def comparable(sweep: Sweep, judge: Judge, trial: SweepTrial) -> float | None:
    """What to compare the trial with the others by: with rungs its value at the first one, which
    all come to, so that who was trained longer has no better of it."""
    first = search.epochs(sweep.spec, 0)
    if first is None or not trial.row.reports:
        return judge.value(trial)
    return judge.until(trial, first) if max(trial.row.reports) >= first else None
