"""Optuna's estimator over a sweep's rows. Only the process that drives sweeps loads this module."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from labpool.search.axes import is_whole
from labpool.search.base import MOVING, SUCCEEDED, Row
from labpool.search.scores import outcome
from labpool.spec import Range, SweepSpec

# A draw's cost grows with the trials it is made from; of more than these the best and the latest.
MOST_KNOWN = 200
MOST_BEST = 25
_WORST = -1e300

# It tells of each study and each trial otherwise.
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Estimator:
    """What the rows say of where to look. Each `ask` sees the ones before as still running."""

    def __init__(self, spec: SweepSpec, rows: Sequence[Row]) -> None:
        self._axes = dict(spec.space)
        self._space = {path: _distribution(axis) for path, axis in spec.space.items()}
        self._study = optuna.create_study(direction="maximize")
        self._study.add_trials([self._trial(spec, row) for row in _seen(spec, rows)])

    def ask(self, seed: int) -> dict[str, Any]:
        """The values of one more trial."""
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1)
        asked = self._study.ask(self._space).params
        return {path: _value(axis, asked[path]) for path, axis in self._axes.items()}

    def _trial(self, spec: SweepSpec, row: Row) -> FrozenTrial:
        found = outcome(spec, row)
        ended = row.state not in MOVING and found is not None
        params = {path: _param(axis, row.values[path]) for path, axis in self._axes.items()}
        known: dict[str, Any] = {"state": TrialState.RUNNING}
        if ended and row.state == SUCCEEDED:
            known = {"state": TrialState.COMPLETE, "value": _finite(found)}
        elif ended:
            # Not trained to the end: compared with those that came as far.
            reached = max(row.reports, default=0)
            known = {"state": TrialState.PRUNED, "intermediate_values": {reached: _finite(found)}}
        return optuna.trial.create_trial(params=params, distributions=self._space, **known)


def _seen(spec: SweepSpec, rows: Sequence[Row]) -> list[Row]:
    """The trials that the estimator is given, in the order of their numbers."""
    moving = [row for row in rows if row.state in MOVING]
    known = [(found, row) for row in rows if (found := _ended(spec, row)) is not None]
    if len(known) > MOST_KNOWN:
        known.sort(key=lambda pair: (-pair[0], pair[1].number))
        best, others = known[:MOST_BEST], known[MOST_BEST:]
        others.sort(key=lambda pair: pair[1].number)
        known = best + others[-(MOST_KNOWN - MOST_BEST) :]
    return sorted(moving + [row for _, row in known], key=lambda row: row.number)


def _ended(spec: SweepSpec, row: Row) -> float | None:
    return None if row.state in MOVING else outcome(spec, row)


def _finite(score: float | None) -> float:
    return _WORST if score is None or math.isinf(score) else score


def _distribution(axis: list[Any] | Range) -> BaseDistribution:
    if not isinstance(axis, Range):
        return CategoricalDistribution(range(len(axis)))
    is_log = axis.scale == "log"
    if is_whole(axis):
        return IntDistribution(int(axis.low), int(axis.high), log=is_log)
    return FloatDistribution(float(axis.low), float(axis.high), log=is_log)


def _param(axis: list[Any] | Range, value: Any) -> Any:
    if isinstance(axis, Range):
        return value if is_whole(axis) else float(value)
    # As JSON, since True == 1 == 1.0.
    written = [json.dumps(one) for one in axis]
    return written.index(json.dumps(value))


def _value(axis: list[Any] | Range, param: Any) -> Any:
    return param if isinstance(axis, Range) else axis[param]
