"""Lines over decades: how a rate changes with the size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from api.charts.frame import figure, grid, x_range, y_range
from api.charts.legend import describe, legend
from api.charts.lines import Line
from api.charts.scale import Scale, fit, label

HEIGHT = 280


def log_log_chart(ident: str, title: str, lines: Sequence[Line], x_label: str) -> Markup:
    """Both axes logarithmic; values that are not above 0 are left out."""
    points = [[*_points(line)] for line in lines]
    x_scale = fit((x for line in points for x, _ in line), *x_range(), "log", margin=0.04)
    y_scale = fit((y for line in points for _, y in line), *y_range(HEIGHT), "log", margin=0.1)
    parts = [grid(x_scale, y_scale, x_label, HEIGHT)]
    for line, found in zip(lines, points, strict=True):
        parts.append(_curve(line, found, x_scale, y_scale))
    return figure(ident, title, legend(lines), describe(lines), HEIGHT, parts)


def _points(line: Line) -> list[tuple[float, float]]:
    return [
        (x, y)
        for x, y in zip(line.xs, line.ys, strict=True)
        if x > 0 and y > 0 and math.isfinite(y)
    ]


def _curve(
    line: Line, points: Sequence[tuple[float, float]], x_scale: Scale, y_scale: Scale
) -> Markup:
    at = [(round(x_scale.position(x), 1), round(y_scale.position(y), 1)) for x, y in points]
    marks = [
        Markup('<circle class="mark" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(
            place[0], place[1], f"{line.name}: {label(y)} at {label(x)}"
        )
        for place, (x, y) in zip(at, points, strict=True)
    ]
    path = "M" + "L".join(f"{x} {y}" for x, y in at) if at else ""
    return Markup('<g class="series {}"><path d="{}"/>{}</g>').format(
        line.classes, path, Markup("").join(marks)
    )
