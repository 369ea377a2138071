"""From trials' curves to the charts of a page, with their controls.

`trial_curves` is for one trial: a chart a quantity. `overlaid_curves` is for several: one chart of
the metric that the reader chose, a curve a trial. The template's macro `chart_set` shows either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import request
from markupsafe import Markup

from api.charts.colours import Look, look_of
from api.charts.line import Line, line_chart
from api.charts.options import NAMES, X_LABELS, ChartOptions, X
from api.pages.filters import words
from db.reads.curves import Curve
from db.reads.trials import TrialRow

# Training and validation of one quantity belong in one chart.
_VALIDATION = "val_"
_FIRST = ("return", "loss", "iou", "accuracy")
_LAST = ("learning_rate",)
# What most people look at first when they compare.
_PREFERRED = ("val_iou", "val_accuracy", "val_return", "val_loss", "accuracy", "loss")
MOST_OVERLAID = 24


@dataclass(frozen=True, slots=True)
class ChartSet:
    """Charts that share controls, and what the browser needs to go on drawing them."""

    ident: str
    options: ChartOptions
    figures: Sequence[Markup]
    sources: str
    charts: str
    metrics: Sequence[str] = ()
    chosen: str = ""
    note: str = ""
    carried: Sequence[tuple[str, str]] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One curve in one chart."""

    name: str
    curve: Curve
    look: Look
    context: bool = False
    href: str | None = None


def trial_curves(trial: TrialRow, curves: Sequence[Curve]) -> ChartSet | None:
    """All curves of one trial: losses first, then accuracies, the learning rate last."""
    if not curves:
        return None
    options, look = _options(), look_of(trial.id)
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.name.removeprefix(_VALIDATION), []).append(curve)
    figures, charts = [], []
    for group in sorted(groups, key=_place):
        ordered = sorted(groups[group], key=lambda curve: curve.name.startswith(_VALIDATION))
        paired = len(ordered) > 1
        drawn = [
            _Drawn(
                _line_name(curve.name, group, paired),
                curve,
                Look(look.colour, False),
                context=paired and not curve.name.startswith(_VALIDATION),
            )
            for curve in ordered
        ]
        title, ident = words(group).capitalize(), f"chart-{group}"
        if not drawn_by_browser():
            figures.append(_figure(title, drawn, options, ident))
        charts.append(
            {
                "id": ident,
                "title": title,
                "curves": [
                    {"metric": one.curve.name, "name": one.name, "context": one.context}
                    for one in drawn
                ],
            }
        )
    return ChartSet(
        "trial-curves",
        options,
        figures,
        json.dumps([_source(trial, dashed=False)]),
        json.dumps(charts),
        carried=_carried(),
    )


def overlaid_curves(
    trials: Sequence[TrialRow],
    curves: Mapping[int, Curve],
    metric: str,
    metrics: Sequence[str],
    note: str = "",
) -> ChartSet | None:
    """One curve a trial of `metric`, each in its trial's colour; `metrics` are on offer."""
    if not metrics:
        return None
    options = _options()
    drawn = [
        _Drawn(f"Trial {trial.id}", curves[trial.id], look_of(trial.id), href=f"/trials/{trial.id}")
        for trial in trials
        if trial.id in curves
    ]
    title = words(metric).capitalize()
    figures = []
    if not drawn_by_browser():
        figures.append(_figure(title, drawn, options, "chart-overlaid", wide=True))
    chart = {"id": "chart-overlaid", "title": title, "curves": [{"metric": metric}], "wide": True}
    return ChartSet(
        "overlaid-curves",
        options,
        figures,
        json.dumps([_source(trial, dashed=look_of(trial.id).dashed) for trial in trials]),
        json.dumps([chart]),
        metrics=metrics,
        chosen=metric,
        note=note,
        carried=_carried(),
    )


def chosen_metric(metrics: Sequence[str]) -> str | None:
    """The metric that the address asks for, or the one most people look at first."""
    wanted = _options().metric
    if wanted in metrics:
        return wanted
    return next((name for name in _PREFERRED if name in metrics), metrics[0] if metrics else None)


def drawn_by_browser() -> bool:
    """Whether the browser has said that it draws by itself: it would throw ours away."""
    return request.args.get("charts") == "0"


def _options() -> ChartOptions:
    return ChartOptions.from_query(request.args)


def _carried() -> list[tuple[str, str]]:
    own = {*NAMES, "fragment", "charts"}
    return [(name, value) for name, value in request.args.items(multi=True) if name not in own]


def _source(trial: TrialRow, dashed: bool) -> dict[str, Any]:
    return {
        "id": trial.id,
        "name": f"Trial {trial.id}",
        "colour": look_of(trial.id).colour,
        "dashed": dashed,
        "finished": trial.finished,
        "fence": trial.fence,
    }


def _place(name: str) -> tuple[int, str]:
    if name in _FIRST:
        return _FIRST.index(name), name
    return (99 if name in _LAST else 50), name


def _figure(
    title: str, drawn: Sequence[_Drawn], options: ChartOptions, ident: str, wide: bool = False
) -> Markup:
    x = options.x or _default_x([one.curve for one in drawn])
    lines = [
        Line(
            name=one.name,
            xs=_xs(one.curve, x),
            ys=[math.nan if value is None else value for value in one.curve.values],
            colour=one.look.colour,
            dashed=one.look.dashed,
            context=one.context,
            href=one.href,
        )
        for one in drawn
    ]
    return line_chart(
        title,
        lines,
        X_LABELS[x],
        ident=ident,
        y_kind=options.y,
        smoothing=options.smooth,
        wide=wide,
    )


def _default_x(curves: Sequence[Curve]) -> X:
    by_epoch = all(epoch is not None for curve in curves for epoch in curve.epochs)
    return "epoch" if by_epoch else "step"


def _xs(curve: Curve, x: X) -> list[float]:
    if x == "time":
        return [float(time_s) for time_s in curve.times_s]
    if x == "epoch" and all(epoch is not None for epoch in curve.epochs):
        return [float(epoch) for epoch in curve.epochs if epoch is not None]
    return [float(step) for step in curve.steps]


def _line_name(curve: str, group: str, paired: bool) -> str:
    if curve.startswith(_VALIDATION):
        return "validation"
    return "training" if paired or group in _FIRST else words(curve)
