"""Curves drawn with characters: a sparkline on one line, a plot on several."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
# A braille character holds two columns of four dots; these are their bits.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
BLANK = 0x2800


def sparkline(values: Sequence[float | None], width: int) -> str:
    """At most `width` bars from the lowest value to the highest; a space where there is none."""
    means = _binned(values, width)
    finite = [value for value in means if value is not None]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    return "".join(" " if value is None else BARS[_level(value, low, high)] for value in means)


def plot(xs: Sequence[float], values: Sequence[float | None], width: int, height: int) -> list[str]:
    """A line through the points on `height` lines of `width` braille characters.

    The lowest and highest value touch the edges; a value that is None breaks the line.
    """
    points = [(x, y) for x, y in zip(xs, values, strict=True) if y is not None and math.isfinite(y)]
    if not points:
        return [" " * width] * height
    cells = [[BLANK] * width for _ in range(height)]
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(y for _, y in points), max(y for _, y in points)
    last: tuple[int, int] | None = None
    for x, y in zip(xs, values, strict=True):
        if y is None or not math.isfinite(y):
            last = None
            continue
        dot = (
            _scaled(x, low_x, high_x, 2 * width - 1),
            4 * height - 1 - _scaled(y, low_y, high_y, 4 * height - 1),
        )
        for column, row in _line(last or dot, dot):
            cells[row // 4][column // 2] |= DOTS[column % 2][row % 4]
        last = dot
    return ["".join(map(chr, line)) for line in cells]


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one to the other, both included."""
    across, down = end[0] - start[0], end[1] - start[1]
    count = max(abs(across), abs(down), 1)
    return [
        (start[0] + round(across * step / count), start[1] + round(down * step / count))
        for step in range(count + 1)
    ]


def _binned(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return [value if value is not None and math.isfinite(value) else None for value in values]
    means: list[float | None] = []
    for index in range(width):
        part = values[index * len(values) // width : (index + 1) * len(values) // width]
        finite = [value for value in part if value is not None and math.isfinite(value)]
        means.append(sum(finite) / len(finite) if finite else None)
    return means


def _level(value: float, low: float, high: float) -> int:
    return _scaled(value, low, high, len(BARS) - 1)


def _scaled(value: float, low: float, high: float, last: int) -> int:
    """`value` between `low` and `high` as a whole number from 0 to `last`; the middle if equal."""
    return round((value - low) / (high - low) * last) if high > low else last // 2
