"""Independent draws.

Trial n's draw depends on the seed and n alone, so a longer sweep with the same seed begins with the
shorter one's trials.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random as Source
from typing import Any

from labpool.errors import Problem
from labpool.search.base import Create, Row, Search
from labpool.spec import Range, SweepSpec
from labpool.strategy_form import RandomStrategy


class Random:
    heeds_results = False

    def check(self, spec: SweepSpec) -> list[Problem]:  # noqa: ARG002 - draws from any space
        return []

    def count(self, spec: SweepSpec) -> int:
        return _strategy(spec).trials

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
        strategy = _strategy(spec)
        made = {row.number for row in rows}
        return [
            Create(number, _draw(spec, strategy.seed, number))
            for number in range(strategy.trials)
            if number not in made
        ]


def _strategy(spec: SweepSpec) -> RandomStrategy:
    if not isinstance(spec.strategy, RandomStrategy):
        raise TypeError(spec.strategy.method)
    return spec.strategy


def _draw(spec: SweepSpec, seed: int, number: int) -> dict[str, Any]:
    # A text seed is hashed by a fixed rule, the same on every Python and platform.
    source = Source(f"labpool random {seed} {number}")  # noqa: S311 - not a secret
    return {path: _pick(source, axis) for path, axis in spec.space.items()}


def _pick(source: Source, axis: list[Any] | Range) -> Any:
    if not isinstance(axis, Range):
        return axis[source.randrange(len(axis))]
    whole = isinstance(axis.low, int) and isinstance(axis.high, int)
    if axis.scale == "linear":
        return (
            source.randint(int(axis.low), int(axis.high))
            if whole
            else source.uniform(axis.low, axis.high)
        )
    # Half a unit wider on each side, so that both ends of whole numbers get their fair part.
    low, high = (axis.low - 0.5, axis.high + 0.5) if whole else (axis.low, axis.high)
    value = math.exp(source.uniform(math.log(low), math.log(high)))
    value = min(max(value, axis.low), axis.high)
    return round(value) if whole else value


SEARCH: Search = Random()
