"""Line charts: the curves of a trial, or the same curve of several trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from api.charts.scale import Kind, Scale, fit, label

WIDTH, HEIGHT = 400, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 40
_MOST_POINTS = 600
_MARKS_UP_TO = 25


@dataclass(frozen=True, slots=True)
class Line:
    """One curve; NaN or infinite values are gaps. `colour` picks one of the sheet's eight."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    colour: int = 0
    dashed: bool = False


def line_chart(
    title: str, lines: Sequence[Line], x_label: str, *, ident: str, y_kind: Kind = "linear"
) -> Markup:
    """An accessible SVG figure with its legend. Classes only: the page forbids inline style."""
    drawn = [_thinned(line) for line in lines if len(line.xs)]
    x_scale = _x_scale(drawn)
    y_scale = fit(
        (y for line in drawn for y in line.ys), HEIGHT - _BOTTOM, _TOP, y_kind, margin=0.08
    )
    parts = [*_grid(x_scale, y_scale, x_label)]
    parts += [_curve(line, x_scale, y_scale) for line in drawn]
    described = "; ".join(_describe(line) for line in lines)
    return Markup(
        '<figure class="chart" id="{ident}"><figcaption>{title}{legend}</figcaption>'
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{ident}-t {ident}-d">'
        '<title id="{ident}-t">{title}</title><desc id="{ident}-d">{desc}</desc>{body}'
        "</svg></figure>"
    ).format(
        ident=ident,
        title=title,
        legend=_legend(lines),
        width=WIDTH,
        height=HEIGHT,
        desc=described,
        body=Markup("").join(parts),
    )


def _x_scale(lines: Sequence[Line]) -> Scale:
    xs = [x for line in lines for x in line.xs]
    if not xs:
        return Scale(0.0, 1.0, _LEFT, WIDTH - _RIGHT)
    low, high = min(xs), max(xs)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return Scale(low, high, _LEFT, WIDTH - _RIGHT)


def _thinned(line: Line) -> Line:
    """At most `_MOST_POINTS` points, keeping each stretch's least and greatest value."""
    count = len(line.xs)
    if count <= _MOST_POINTS:
        return line
    size = math.ceil(count / (_MOST_POINTS // 2))
    kept: list[int] = []
    for start in range(0, count, size):
        stretch = range(start, min(start + size, count))
        ends = {
            min(stretch, key=lambda i: _low_key(line.ys[i])),
            max(stretch, key=lambda i: _high_key(line.ys[i])),
        }
        kept.extend(sorted(ends))
    xs = [line.xs[i] for i in kept]
    ys = [line.ys[i] for i in kept]
    return Line(line.name, xs, ys, line.colour, line.dashed)


def _low_key(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _high_key(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _grid(x_scale: Scale, y_scale: Scale, x_label: str) -> list[Markup]:
    bottom = HEIGHT - _BOTTOM
    parts = []
    for tick in y_scale.ticks(5):
        y = round(y_scale.position(tick), 1)
        parts.append(
            Markup(
                '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
                '<text class="tick" x="{3}" y="{4}" text-anchor="end">{5}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, y, _LEFT - 8, y + 4, label(tick))
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
            _LEFT, WIDTH - _RIGHT, bottom
        )
    )
    parts.append(
        Markup('<text class="axis-label" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 4, x_label
        )
    )
    return parts


def _curve(line: Line, x_scale: Scale, y_scale: Scale) -> Markup:
    strokes: list[str] = []
    marks: list[Markup] = []
    lonely = len(line.xs) <= _MARKS_UP_TO
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
    return Markup('<g class="series series-{}{}"><path d="{}"/>{}</g>').format(
        line.colour % 8, " dashed" if line.dashed else "", "".join(strokes), Markup("").join(marks)
    )


def _legend(lines: Sequence[Line]) -> Markup:
    items = []
    for line in lines:
        last = next((y for y in reversed(line.ys) if math.isfinite(y)), None)
        value = Markup(" <b>{}</b>").format(label(last)) if last is not None else Markup("")
        items.append(
            Markup('<li class="series-{}{}"><i aria-hidden="true"></i>{}{}</li>').format(
                line.colour % 8, " dashed" if line.dashed else "", escape(line.name), value
            )
        )
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _describe(line: Line) -> str:
    finite = [y for y in line.ys if math.isfinite(y)]
    if not finite:
        return f"{line.name}: no values"
    return (
        f"{line.name}: {len(line.ys)} points from {label(finite[0])} to {label(finite[-1])}, "
        f"least {label(min(finite))}, greatest {label(max(finite))}"
    )
