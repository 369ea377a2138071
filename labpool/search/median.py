"""Pruning by the median: a trial ends once it does worse than half of the others did as early."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from labpool.errors import Problem
from labpool.search.base import MOVING, Promote, Prune, Row
from labpool.search.scores import best_until, score
from labpool.spec import SweepSpec, TrainSpec
from labpool.strategy_form import MedianPruner


class Median:
    hears_epochs = True

    def check(self, spec: SweepSpec) -> list[Problem]:
        if not isinstance(spec.base, TrainSpec):
            message = "is for training runs; a benchmark has no epochs."
            return [Problem("/strategy/pruner", message, "Leave it out.")]
        return []

    def epochs(self, spec: SweepSpec, rung: int) -> int | None:  # noqa: ARG002 - nobody halts
        return None

    def advance(self, spec: SweepSpec, rows: Sequence[Row], count: int) -> list[Promote | Prune]:  # noqa: ARG002 - of those that there are
        return [
            Prune(row.trial_id)
            for row in rows
            if row.state in MOVING and row.reports and _is_poor(spec, row, rows)
        ]


def _is_poor(spec: SweepSpec, row: Row, rows: Sequence[Row]) -> bool:
    pruner = spec.strategy.pruner
    if not isinstance(pruner, MedianPruner):
        raise TypeError(spec.strategy.method)
    epoch = max(row.reports)
    last = getattr(spec.base, "epochs", None)
    if epoch < pruner.min_epochs or (last is not None and epoch >= last):
        return False
    others = [
        score(spec, other.reports[epoch])
        for other in rows
        if other.number != row.number and epoch in other.reports
    ]
    if len(others) < pruner.min_trials:
        return False
    return best_until(spec, row.reports, epoch) < median(others)


MEDIAN = Median()
