"""Trials where the better ones have been: Optuna's tree-structured Parzen estimator.

Trials are made a batch at a time, half of ``at_once``, as soon as there is room for one. What the
estimator sees is made of the rows anew each time, so there is no study to keep; a trial's draw
depends on the seed, its number and the rows. The first ones, until enough have ended, are the
points of `qmc`, so that a sweep is submitted without Optuna.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from labpool.errors import Problem
from labpool.search.base import MOVING, Create, Row, Search
from labpool.search.qmc import Points
from labpool.search.scores import outcome
from labpool.spec import SweepSpec
from labpool.strategy_form import TpeStrategy


class Tpe:
    heeds_results = True

    def check(self, spec: SweepSpec) -> list[Problem]:  # noqa: ARG002 - takes any space
        return []

    def count(self, spec: SweepSpec) -> int:
        return _strategy(spec).trials

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
        strategy = _strategy(spec)
        numbers = _wanted(strategy, rows)
        ended = sum(1 for row in rows if row.state not in MOVING and outcome(spec, row) is not None)
        if not numbers:
            return []
        if ended < strategy.startup_trials:
            points = Points(spec, strategy.seed)
            return [Create(number, points.at(number)) for number in numbers]
        from labpool.search.estimator import Estimator

        estimator = Estimator(spec, rows)
        return [Create(number, estimator.ask(_seed(strategy.seed, number))) for number in numbers]


def _wanted(strategy: TpeStrategy, rows: Sequence[Row]) -> list[int]:
    """The trials to make now: what is left of the batches that were begun, and those that there is
    room for."""
    size = (strategy.at_once + 1) // 2
    made = {row.number for row in rows}
    moving = sum(1 for row in rows if row.state in MOVING)
    end = _round_up(max(made, default=-1) + 1, size)
    moving += end - len(made) if end > len(made) else 0
    while moving + size <= strategy.at_once:
        end, moving = end + size, moving + size
    return [number for number in range(min(end, strategy.trials)) if number not in made]


def _round_up(number: int, size: int) -> int:
    return -(-number // size) * size


def _seed(seed: int, number: int) -> int:
    return int.from_bytes(sha256(f"labpool tpe {seed} {number}".encode()).digest()[:4], "big")


def _strategy(spec: SweepSpec) -> TpeStrategy:
    if not isinstance(spec.strategy, TpeStrategy):
        raise TypeError(spec.strategy.method)
    return spec.strategy


SEARCH: Search = Tpe()
