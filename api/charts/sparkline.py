"""A curve as small as a word."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from api.charts.colours import Look
from api.charts.scale import label

WIDTH, HEIGHT = 96, 24
_EDGE = 2
_MOST_POINTS = 48


def sparkline(name: str, values: Sequence[float | None], look: Look) -> Markup:
    """The finite values of a curve from its first to its last; empty with fewer than two."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) < 2:
        return Markup("")
    drawn = _thinned(finite)
    low, high = min(drawn), max(drawn)
    span = high - low or 1.0
    step = (WIDTH - 2 * _EDGE) / (len(drawn) - 1)
    points = [
        f"{_EDGE + index * step:.1f} {HEIGHT - _EDGE - (y - low) / span * (HEIGHT - 2 * _EDGE):.1f}"
        for index, y in enumerate(drawn)
    ]
    return Markup(
        '<svg class="spark series {classes}" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="{text}"><path d="M{path}"/></svg>'
    ).format(
        classes=look.classes,
        width=WIDTH,
        height=HEIGHT,
        text=f"{name} from {label(finite[0])} to {label(finite[-1])}, {len(finite)} points",
        path="L".join(points),
    )


def _thinned(values: Sequence[float]) -> Sequence[float]:
    if len(values) <= _MOST_POINTS:
        return values
    last = len(values) - 1
    return [values[round(index * last / (_MOST_POINTS - 1))] for index in range(_MOST_POINTS)]
