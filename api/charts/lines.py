"""Curves to draw, and how few points are enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; NaN or infinite values are gaps. `colour` picks one of the sheet's eight.

    A `context` line is there to compare with, and grey; `href` is where its name leads.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0
    dashed: bool = False
    context: bool = False
    href: str | None = None

    @property
    def classes(self) -> str:
        """The style sheet's classes."""
        colour = "context" if self.context else str(self.colour % 8)
        return f"series-{colour}{' dashed' if self.dashed else ''}"


def thinned(line: Line) -> Line:
    """At most about `MOST_POINTS` points, keeping each stretch's least and greatest value."""
    count = len(line.xs)
    if count <= MOST_POINTS:
        return line
    size = math.ceil(count / (MOST_POINTS // 2))
    kept: list[int] = []
    for start in range(0, count, size):
        stretch = range(start, min(start + size, count))
        ends = {
            min(stretch, key=lambda i: _low_key(line.ys[i])),
            max(stretch, key=lambda i: _high_key(line.ys[i])),
        }
        kept.extend(sorted(ends))
    return replace(line, xs=[line.xs[i] for i in kept], ys=[line.ys[i] for i in kept])


def _low_key(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _high_key(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
