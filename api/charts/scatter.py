"""One parameter against one metric: a dot a trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.charts.axis import Axis
from api.charts.colours import look_of

WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 44


@dataclass(frozen=True, slots=True)
class Dot:
    """A trial with its value on either axis, and both as text."""

    trial_id: int
    x: Any
    y: Any
    text: str


def scatter(title: str, x_axis: Axis, y_axis: Axis, dots: Sequence[Dot]) -> Markup:
    """The SVG figure; each dot leads to its trial."""
    return Markup(
        '<figure class="chart scatter" id="scatter"><figcaption>{title}</figcaption>'
        '<svg viewBox="0 0 {width} {height}" role="group" aria-labelledby="scatter-t">'
        '<title id="scatter-t">{title}, {count} trials</title>{grid}{dots}</svg></figure>'
    ).format(
        title=title,
        width=WIDTH,
        height=HEIGHT,
        count=len(dots),
        grid=_grid(x_axis, y_axis),
        dots=Markup("").join(_dot(x_axis, y_axis, dot) for dot in dots),
    )


def _x(share: float) -> float:
    return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)


def _grid(x_axis: Axis, y_axis: Axis) -> Markup:
    parts = [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
            '<text class="tick" x="{3}" y="{4}" text-anchor="end">{5}</text>'
        ).format(_LEFT, WIDTH - _RIGHT, _y(share), _LEFT - 8, _y(share) + 4, text)
        for share, text in y_axis.ticks()
    ]
    parts += [
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            _x(share), HEIGHT - _BOTTOM + 17, text
        )
        for share, text in x_axis.ticks()
    ]
    parts.append(
        Markup(
            '<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
            '<text class="axis-label" x="{3}" y="{4}" text-anchor="middle">{5}</text>'
        ).format(
            _LEFT, WIDTH - _RIGHT, HEIGHT - _BOTTOM,
            (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 6, x_axis.name,
        )
    )  # fmt: skip
    return Markup("").join(parts)


def _dot(x_axis: Axis, y_axis: Axis, dot: Dot) -> Markup:
    x, y = x_axis.share(dot.x), y_axis.share(dot.y)
    if x is None or y is None:
        return Markup("")
    look = look_of(dot.trial_id)
    return Markup(
        '<a id="dot-{trial}" href="/trials/{trial}" tabindex="-1" class="dot {classes}" '
        'data-trial="{trial}" aria-label="Trial {trial}: {text}"><circle cx="{x}" cy="{y}" r="5"/>'
        "<title>Trial {trial}: {text}</title></a>"
    ).format(
        trial=dot.trial_id,
        classes=look.classes,
        text=dot.text,
        x=_x(x),
        y=_y(y),
    )
