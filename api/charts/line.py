"""Line charts: the curves of a trial, or the same curve of several trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from api.charts.legend import describe, legend
from api.charts.lines import Line, thinned
from api.charts.scale import Kind, Scale, fit, label
from api.charts.smoothing import smoothed

__all__ = ["Line", "line_chart"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 40
_MARKS_UP_TO = 25


@dataclass(frozen=True, slots=True)
class _Size:
    width: int
    height: int


_NORMAL, _WIDE = _Size(400, 240), _Size(840, 300)


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    *,
    ident: str,
    y_kind: Kind = "linear",
    smoothing: float = 0.0,
    wide: bool = False,
) -> Markup:
    """An accessible SVG figure with its legend. Classes only: the page forbids inline style.

    With `smoothing` above 0 each curve is drawn smooth, and as it is faintly behind.
    """
    size = _WIDE if wide else _NORMAL
    raw = [thinned(line) for line in lines if len(line.xs)]
    smooth = [thinned(replace(line, ys=smoothed(line.ys, smoothing))) for line in lines if line.xs]
    x_scale = _x_scale(raw, size)
    y_scale = fit(
        (y for line in raw for y in line.ys), size.height - _BOTTOM, _TOP, y_kind, margin=0.08
    )
    parts = [*_grid(x_scale, y_scale, x_label, size)]
    if smoothing > 0:
        parts += [_curve(line, x_scale, y_scale, faint=True) for line in raw]
    parts += [_curve(line, x_scale, y_scale) for line in (smooth if smoothing > 0 else raw)]
    return Markup(
        '<figure class="chart{wide}" id="{ident}"><figcaption><span>{title}</span>{legend}'
        '</figcaption><div class="plot"><svg viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{ident}-t {ident}-d"><title id="{ident}-t">{title}</title>'
        '<desc id="{ident}-d">{desc}</desc>{body}</svg></div></figure>'
    ).format(
        wide=" chart-wide" if wide else "",
        ident=ident,
        title=title,
        legend=legend(lines),
        width=size.width,
        height=size.height,
        desc=describe(lines),
        body=Markup("").join(parts),
    )


def _x_scale(lines: Sequence[Line], size: _Size) -> Scale:
    xs = [x for line in lines for x in line.xs]
    if not xs:
        return Scale(0.0, 1.0, _LEFT, size.width - _RIGHT)
    low, high = min(xs), max(xs)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, _LEFT, size.width - _RIGHT)


def _grid(x_scale: Scale, y_scale: Scale, x_label: str, size: _Size) -> list[Markup]:
    bottom = size.height - _BOTTOM
    parts = []
    for tick in y_scale.ticks(5):
        y = round(y_scale.position(tick), 1)
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
                '<text class="tick" x="{3}" y="{4}" text-anchor="end">{5}</text>'
            ).format(_LEFT, size.width - _RIGHT, y, _LEFT - 8, y + 4, label(tick))
        )
    whole = x_scale.high - x_scale.low >= 2
    for tick in x_scale.ticks(6):
        if whole and tick != round(tick):
            continue
        x = round(x_scale.position(tick), 1)
        parts.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                x, bottom + 16, label(tick)
            )
        )
    parts.append(
        Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(
            _LEFT, size.width - _RIGHT, bottom
        )
    )
    parts.append(
        Markup('<text class="axis-label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (_LEFT + size.width - _RIGHT) / 2, size.height - 4, x_label
        )
    )
    return parts


def _curve(line: Line, x_scale: Scale, y_scale: Scale, faint: bool = False) -> Markup:
    strokes: list[str] = []
    marks: list[Markup] = []
    lonely = len(line.xs) <= _MARKS_UP_TO and not faint
    pen_down = False
    for x, y in zip(line.xs, line.ys, strict=True):
        if not math.isfinite(y) or (y_scale.kind == "log" and y <= 0):
            pen_down = False
            continue
        at_x, at_y = round(x_scale.position(x), 1), round(y_scale.position(y), 1)
        strokes.append(f"{'L' if pen_down else 'M'}{at_x} {at_y}")
        pen_down = True
        if lonely:
            marks.append(
                Markup(
                    '<circle class="mark" cx="{}" cy="{}" r="2.5"><title>{}</title></circle>'
                ).format(at_x, at_y, f"{line.name} {label(y)} at {label(x)}")
            )
    return Markup('<g class="series {}{}"><path d="{}"/>{}</g>').format(
        line.classes, " raw" if faint else "", "".join(strokes), Markup("").join(marks)
    )
