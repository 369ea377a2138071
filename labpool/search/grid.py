"""Every combination, the last axis fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from labpool.errors import Problem, pointer
from labpool.search.base import Create, Row, Search
from labpool.spec import Range, SweepSpec


class Grid:
    heeds_results = False

    def check(self, spec: SweepSpec) -> list[Problem]:
        return [
            Problem(
                pointer("space", path),
                "is a range, of which a grid needs to know how many values to take.",
                "Add steps, or list the values.",
            )
            for path, axis in spec.space.items()
            if isinstance(axis, Range) and axis.steps is None
        ]

    def count(self, spec: SweepSpec) -> int:
        return math.prod(len(values_of(axis)) for axis in spec.space.values())

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
        made = {row.number for row in rows}
        combinations = product(*(values_of(axis) for axis in spec.space.values()))
        return [
            Create(number, dict(zip(spec.space, combination, strict=True)))
            for number, combination in enumerate(combinations)
            if number not in made
        ]


def values_of(axis: list[Any] | Range) -> list[Any]:
    """The values of one axis, in order; whole numbers that coincide are taken once."""
    if not isinstance(axis, Range):
        return axis
    steps = axis.steps or 2
    places = [step / (steps - 1) for step in range(steps)]
    points = [_between(axis, place) for place in places]
    # The ends are what was written, not what arithmetic makes of it.
    points[0], points[-1] = axis.low, axis.high
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        points = [round(point) for point in points]
    return list(dict.fromkeys(points))


def _between(axis: Range, place: float) -> float:
    if axis.scale == "linear":
        return axis.low + place * (axis.high - axis.low)
    return math.exp(math.log(axis.low) + place * (math.log(axis.high) - math.log(axis.low)))


SEARCH: Search = Grid()
