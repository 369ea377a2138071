"""The frame that charts of benchmarks share: grid, ticks, axis, and the figure around it."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from api.charts.scale import Scale, label

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 12, 42


def x_range() -> tuple[float, float]:
    """Where a chart's x axis begins and ends."""
    return LEFT, WIDTH - RIGHT


def y_range(height: int) -> tuple[float, float]:
    """Where a chart's y axis begins (at its foot) and ends."""
    return height - BOTTOM, TOP


def grid(x_scale: Scale, y_scale: Scale | None, x_label: str, height: int) -> Markup:
    """Lines, ticks and the name of the x axis; without a `y_scale` only these of the x axis."""
    foot = height - BOTTOM
    parts = [] if y_scale is None else [_y_tick(y_scale, tick) for tick in y_scale.ticks(5)]
    parts += [
        Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>').format(
            _round(x_scale.position(tick)), foot + 17, label(tick)
        )
        for tick in _apart(x_scale)
    ]
    parts.append(
        Markup(
            '<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
            '<text class="axis-label" x="{3}" y="{4}" text-anchor="middle">{5}</text>'
        ).format(LEFT, WIDTH - RIGHT, foot, (LEFT + WIDTH - RIGHT) / 2, height - 5, x_label)
    )
    return Markup("").join(parts)


def figure(
    ident: str, title: str, legend: Markup, words: str, height: int, parts: Iterable[Markup]
) -> Markup:
    """An SVG figure; `words` say what it shows. Classes only: the page forbids inline style."""
    return Markup(
        '<figure class="chart" id="{ident}"><figcaption><span>{title}</span>{legend}</figcaption>'
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{ident}-t {ident}-d">'
        '<title id="{ident}-t">{title}</title><desc id="{ident}-d">{words}</desc>{body}</svg>'
        "</figure>"
    ).format(
        ident=ident,
        title=title,
        legend=legend,
        width=WIDTH,
        height=height,
        words=words,
        body=Markup("").join(parts),
    )


def _y_tick(scale: Scale, tick: float) -> Markup:
    y = _round(scale.position(tick))
    return Markup(
        '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text class="tick" x="{3}" y="{4}" text-anchor="end">{5}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, LEFT - 8, y + 4, label(tick))


def _apart(scale: Scale) -> list[float]:
    """The ticks whose labels do not touch."""
    kept: list[float] = []
    end = 0.0
    for tick in scale.ticks(5):
        half = 4.0 * len(label(tick))
        at = scale.position(tick)
        if not kept or at - half > end + 6:
            kept.append(tick)
            end = at + half
    return kept


def _round(value: float) -> float:
    return round(value, 1)
