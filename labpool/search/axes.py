"""From a number between 0 and 1 to a value of an axis."""

from __future__ import annotations

import math
from typing import Any

from labpool.spec import Range


def is_whole(axis: Range) -> bool:
    """Whether the axis holds whole numbers alone."""
    return isinstance(axis.low, int) and isinstance(axis.high, int)


def value_at(axis: list[Any] | Range, place: float) -> Any:
    """The value at ``place``, 0 ≤ place < 1; each value of a list, and each whole number of a
    linear range, takes up as much room as the others."""
    if not isinstance(axis, Range):
        return axis[int(place * len(axis))]
    if not is_whole(axis):
        return _within(axis, _between(axis, axis.low, axis.high, place))
    # Half a unit wider on each side, so that both ends get their fair part.
    return round(_within(axis, _between(axis, axis.low - 0.5, axis.high + 0.5, place)))


def _between(axis: Range, low: float, high: float, place: float) -> float:
    if axis.scale == "linear":
        # Not low + place * (high - low), which may overflow.
        return (1 - place) * low + place * high
    return math.exp((1 - place) * math.log(low) + place * math.log(high))


def _within(axis: Range, value: float) -> float:
    return min(max(value, axis.low), axis.high)
