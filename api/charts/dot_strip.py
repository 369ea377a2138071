"""Samples of one time: a dot each, the median with its interval behind."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from api.charts.colours import Look
from api.charts.frame import BOTTOM, TOP, figure, grid, x_range
from api.charts.scale import Kind, fit, label

HEIGHT = 190
_LOG_FROM = 20.0


def dot_strip(
    ident: str,
    title: str,
    samples_ms: Sequence[float],
    median_ms: float,
    interval_ms: tuple[float, float],
    look: Look,
    taken: int,
) -> Markup:
    """From left to right by time, from top to bottom in the order in which they were taken.

    `samples_ms` may be every so many-th of all that were `taken`.
    """
    drawn = [value for value in samples_ms if math.isfinite(value) and value > 0]
    every = [*drawn, median_ms, *interval_ms]
    kind: Kind = "log" if max(every) / min(every) >= _LOG_FROM else "linear"
    scale = fit(every, *x_range(), kind)
    low, high = (round(scale.position(value), 1) for value in interval_ms)
    middle = round(scale.position(median_ms), 1)
    foot = HEIGHT - BOTTOM
    step = (foot - TOP - 12) / max(1, len(drawn) - 1)
    dots = [
        Markup('<circle cx="{}" cy="{}" r="2.5"/>').format(
            round(scale.position(value), 1), round(TOP + 6 + index * step, 1)
        )
        for index, value in enumerate(drawn)
    ]
    parts = [
        grid(scale, None, "ms", HEIGHT),
        Markup('<rect class="band" x="{}" y="{}" width="{}" height="{}"/>').format(
            low, TOP, max(1.0, round(high - low, 1)), foot - TOP
        ),
        Markup('<g class="strip {}">{}</g>').format(look.classes, Markup("").join(dots)),
        Markup('<line class="middle" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            middle, TOP, foot
        ),
        Markup('<text class="tick" x="56" y="{}" text-anchor="end">first</text>').format(TOP + 10),
        Markup('<text class="tick" x="56" y="{}" text-anchor="end">last</text>').format(foot - 2),
    ]
    return figure(
        ident, title, Markup(""), _words(drawn, median_ms, interval_ms, taken), HEIGHT, parts
    )


def _words(
    drawn: Sequence[float], median_ms: float, interval_ms: tuple[float, float], taken: int
) -> str:
    middle = (
        f"median {label(median_ms)} ms, with 95 % between {label(interval_ms[0])} and "
        f"{label(interval_ms[1])} ms"
    )
    if not drawn:
        return middle
    count = f"{len(drawn)} of {taken}" if taken > len(drawn) else str(len(drawn))
    return (
        f"{count} samples from {label(min(drawn))} to {label(max(drawn))} ms, in the order in "
        f"which they were taken; {middle}"
    )
