"""How good a trial is by its sweep's objective; more is better, whatever the metric."""

from __future__ import annotations

import math
from collections.abc import Mapping

from labpool.measures import direction_by_name
from labpool.search.base import Row
from labpool.spec import SweepSpec

WORST = -math.inf


def sign_of(spec: SweepSpec) -> float:
    """What to multiply the objective's metric by. Raises ValueError where the sweep, which was to
    be completed when it was planned, does not say which way is better."""
    objective = spec.objective
    direction = objective and (objective.direction or direction_by_name(objective.metric))
    if not direction:
        raise ValueError("a sweep that searches by results has an objective and its direction")
    return 1.0 if direction == "maximize" else -1.0


def score(spec: SweepSpec, value: float | None) -> float:
    """The score of a value of the metric; the worst one where there is none or it is not finite."""
    if value is None or not math.isfinite(value):
        return WORST
    return sign_of(spec) * value


def best_until(spec: SweepSpec, reports: Mapping[int, float], epoch: int) -> float:
    """The best score of the epochs up to ``epoch``."""
    return max((score(spec, value) for at, value in reports.items() if at <= epoch), default=WORST)


def outcome(spec: SweepSpec, row: Row) -> float | None:
    """The score of what a trial has come to: its result's, else its best epoch's; None if it has
    neither."""
    if spec.objective is None:
        return None
    if (value := row.metrics.get(spec.objective.metric)) is not None:
        return score(spec, value)
    return best_until(spec, row.reports, max(row.reports)) if row.reports else None
