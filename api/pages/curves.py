"""From a trial's curves to the charts of its page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from api.charts.line import Line, line_chart
from api.pages.filters import words
from db.reads.curves import Curve

# Training and validation of one quantity belong in one chart.
_VALIDATION = "val_"
_FIRST = ("loss", "accuracy")
_LAST = ("learning_rate",)


def charts_of(curves: Sequence[Curve]) -> list[Markup]:
    """One chart a quantity: losses first, then accuracies, the learning rate last."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.name.removeprefix(_VALIDATION), []).append(curve)
    return [_chart(name, groups[name]) for name in sorted(groups, key=_place)]


def _place(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return _FIRST.index(name), name
    return (99 if name in _LAST else 50), name


def _chart(name: str, curves: Sequence[Curve]) -> Markup:
    ordered = sorted(curves, key=lambda curve: curve.name.startswith(_VALIDATION))
    by_epoch = all(epoch is not None for curve in curves for epoch in curve.epochs)
    lines = [
        Line(
            name=_line_name(curve.name, name),
            xs=_epochs(curve) if by_epoch else [float(step) for step in curve.steps],
            ys=[math.nan if value is None else value for value in curve.values],
            colour=1 if curve.name.startswith(_VALIDATION) else 0,
        )
        for curve in ordered
    ]
    x_label = "epoch" if by_epoch else "step"
    return line_chart(words(name).capitalize(), lines, x_label, ident=f"chart-{name}")


def _line_name(curve: str, group: str) -> str:
    if curve.startswith(_VALIDATION):
        return "validation"
    return "training" if group in _FIRST else words(curve)


def _epochs(curve: Curve) -> list[float]:
    return [float(epoch) for epoch in curve.epochs if epoch is not None]
