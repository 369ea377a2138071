"""The legend of a line chart, and its description in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from api.charts.lines import Line
from api.charts.scale import label


def legend(lines: Sequence[Line]) -> Markup:
    """Names with the newest values; a badge says how many values were not finite."""
    items = [
        Markup(
            '<li class="{classes}" data-name="{name}"><i aria-hidden="true"></i>'
            "{text}{value}{nan}</li>"
        ).format(
            classes=line.classes,
            name=line.name,
            text=_text(line),
            value=_last(line),
            nan=_nan(line),
        )
        for line in lines
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def describe(lines: Sequence[Line]) -> str:
    """What the curves do, for whoever does not see them."""
    return "; ".join(_describe(line) for line in lines)


def _text(line: Line) -> Markup:
    if line.href is None:
        return Markup("<span>{}</span>").format(line.name)
    return Markup('<a href="{}">{}</a>').format(line.href, line.name)


def _last(line: Line) -> Markup:
    last = next((y for y in reversed(line.ys) if math.isfinite(y)), None)
    return Markup(" <b>{}</b>").format("–" if last is None else label(last))


def _nan(line: Line) -> Markup:
    count = sum(not math.isfinite(y) for y in line.ys)
    if not count:
        return Markup("")
    return Markup(
        ' <span class="nan" data-nan title="values that were not finite">NaN ×{}</span>'
    ).format(count)


def _describe(line: Line) -> str:
    finite = [y for y in line.ys if math.isfinite(y)]
    if not finite:
        return f"{line.name}: no values"
    return (
        f"{line.name}: {len(line.ys)} points from {label(finite[0])} to {label(finite[-1])}, "
        f"least {label(min(finite))}, greatest {label(max(finite))}"
    )
