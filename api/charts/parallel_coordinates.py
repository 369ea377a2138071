"""Parallel coordinates: one upright axis a parameter, one line a trial.

Readable by itself; `../static/charts/parallel_coordinates.js` adds brushes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.charts.axis import Axis

HEIGHT = 300
_TOP, _BOTTOM = 44, 14
_FIRST, _LAST = 76, 64
# Few axes stand apart as far as makes the picture this wide; many make it wider.
_WIDTH = 1060
_LEAST_APART, _MOST_APART = 130, 360
# Names of axes that stand closer are set at two heights in turn.
_NAMES_FIT_FROM = 200


@dataclass(frozen=True, slots=True)
class Thread:
    """One trial's line: its values in the axes' order, and the style sheet's classes."""

    trial_id: int
    values: Sequence[Any]
    texts: Sequence[str]
    classes: str


def parallel_coordinates(title: str, axes: Sequence[Axis], threads: Sequence[Thread]) -> Markup:
    """The SVG figure. The last axis is what the others are judged by."""
    apart = _apart(len(axes))
    width = _FIRST + apart * (len(axes) - 1) + _LAST
    columns = [_column(index, apart, axis) for index, axis in enumerate(axes)]
    lines = [_line(axes, apart, thread) for thread in threads]
    return Markup(
        '<figure class="chart parallel" id="parallel" data-parallel data-top="{top}" '
        'data-bottom="{bottom}"><figcaption>{title}</figcaption>'
        '<div class="scroller parallel-scroller" tabindex="0" role="group" aria-label="{title}">'
        '<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="group" '
        'aria-labelledby="parallel-t parallel-d"><title id="parallel-t">{title}</title>'
        '<desc id="parallel-d">{desc}</desc><g id="parallel-lines">{lines}</g>'
        '<g id="parallel-axes">{columns}</g><g id="parallel-brushes" data-keep></g></svg></div>'
        '<p class="small soft parallel-status"><span id="parallel-status" role="status" data-keep>'
        "</span></p></figure>"
    ).format(
        title=title,
        top=_TOP,
        bottom=HEIGHT - _BOTTOM,
        width=width,
        height=HEIGHT,
        desc=f"{len(threads)} trials over {', '.join(axis.name for axis in axes)}. "
        "The table has the same values.",
        lines=Markup("").join(lines),
        columns=Markup("").join(columns),
    )


def _apart(count: int) -> int:
    even = (_WIDTH - _FIRST - _LAST) // max(1, count - 1)
    return min(_MOST_APART, max(_LEAST_APART, even))


def _x(index: int, apart: int) -> int:
    return _FIRST + apart * index


def _y(share: float) -> float:
    return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)


def _column(index: int, apart: int, axis: Axis) -> Markup:
    x = _x(index, apart)
    marks = [
        Markup(
            '<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
            '<text class="tick" x="{3}" y="{4}" text-anchor="end">{5}</text>'
        ).format(x - 4, x, _y(share), x - 8, _y(share) + 4, text)
        for share, text in axis.ticks()
    ]
    return Markup(
        '<g id="parallel-axis-{index}" data-axis="{name}" data-x="{x}" data-kind="{kind}" '
        'data-low="{low}" data-high="{high}" data-words="{words}">'
        '<line class="axis" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>{marks}'
        '<text class="axis-name" x="{x}" y="{name_y}" text-anchor="middle">{short}'
        "<title>{name}</title></text></g>"
    ).format(
        index=index,
        name=axis.name,
        x=x,
        kind=axis.kind,
        low=axis.scale.low,
        high=axis.scale.high,
        words="\n".join(axis.words),
        top=_TOP,
        bottom=HEIGHT - _BOTTOM,
        marks=Markup("").join(marks),
        name_y=14 if apart < _NAMES_FIT_FROM and index % 2 == 0 else 30,
        short=axis.name if len(axis.name) <= 24 else f"{axis.name[:23]}…",
    )


def _line(axes: Sequence[Axis], apart: int, thread: Thread) -> Markup:
    """A value that is missing leaves a gap."""
    shares = [axis.share(value) for axis, value in zip(axes, thread.values, strict=True)]
    strokes, down = [], False
    for index, share in enumerate(shares):
        if share is None:
            down = False
            continue
        strokes.append(f"{'L' if down else 'M'}{_x(index, apart)} {_y(share)}")
        down = True
    said = ", ".join(
        f"{axis.name} {text}" for axis, text in zip(axes, thread.texts, strict=True) if text
    )
    return Markup(
        '<path id="parallel-{trial}" class="thread {classes}" data-trial="{trial}" '
        'data-at="{at}" d="{path}"><title>Trial {trial}: {said}</title></path>'
    ).format(
        trial=thread.trial_id,
        classes=thread.classes,
        at=" ".join("-" if share is None else f"{share:.4f}" for share in shares),
        path="".join(strokes),
        said=said,
    )
