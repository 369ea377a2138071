"""Trials beside each other: curves, what differs, parallel coordinates, one against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from api.charts.axis import axis_of
from api.charts.colours import look_of
from api.charts.parallel_coordinates import Thread, parallel_coordinates
from api.charts.scatter import Dot, scatter
from api.context import services
from api.pages.compared import Comparison, Metric, compared
from api.pages.curves import MOST_OVERLAID, ChartSet, chosen_metric, overlaid_curves
from api.pages.filters import metric_value, short_value, words
from api.pages.frame import page
from api.pages.measures import short_name
from api.pages.sorting import Sorting
from api.security.identity import me
from api.security.roles import allow
from api.visibility import may_see, shown_trials
from db.reads.curve_sets import curves_of_many, metric_names
from db.reads.experiments import experiment_row
from db.reads.trial_list import live_values
from db.reads.trials import TrialRow, rows_by_id, trial_ids

pages = Blueprint("compare_pages", __name__)

MOST_TRIALS = 100
_MOST_AXES = 9
_SHADES = 5
# So many trials have colours that tell them apart; more are shaded by how well they did.
_MOST_COLOURS = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """The trials that an address asks for; `notes` say what of it is not shown, and why."""

    ids: list[int]
    notes: list[str]
    experiment_id: int | None = None


@pages.get("/compare")
@allow("member")
def compare_trials() -> Response:
    with services().database.snapshot() as session:
        asked = _asked(session)
        trials = _visible(session, asked)
        running = [row.id for row in trials if not row.metrics and row.fence and not row.finished]
        live = live_values(session, running)
        curves = _curves(session, trials)
    values = {row.id: row.metrics or live.get(row.id, {}) for row in trials}
    table = compared(trials, values, services().catalog)
    objective = _chosen("objective", table.objectives)
    against = _chosen("against", list(table.parameters))
    keys = _sort_keys(table)
    sorting = Sorting.from_request(keys, "given")
    return page(
        "compare.html",
        section="Experiments",
        title="Compare trials",
        topics=[f"trial:{row.id}" for row in trials if not row.finished],
        finished=all(row.finished for row in trials),
        asked=asked,
        table=table,
        rows=sorting.apply(trials, keys),
        sorting=sorting,
        looks={row.id: look_of(row.id) for row in trials},
        curves=curves,
        objective=objective,
        against=against,
        parallel=_parallel(table, objective),
        shaded=_is_shaded(table),
        dots=_scatter(table, against, objective),
        carried=_carried("objective", "against"),
    )


def _asked(session: Session) -> Asked:
    notes: list[str] = []
    words_given = [word for text in request.args.getlist("trials") for word in text.split(",")]
    words_given = [word.strip() for word in words_given if word.strip()]
    numbers = [int(word) for word in words_given if _is_row_id(word)]
    strange = [word[:20] for word in words_given if not _is_row_id(word)]
    if strange:
        notes.append(f"Not a trial's number: {', '.join(strange[:5])}.")
    ids = list(dict.fromkeys(numbers))
    experiment_id = _experiment_id(notes)
    if experiment_id is not None:
        experiment = experiment_row(session, experiment_id)
        if experiment is None or not may_see(me(), experiment.owner_id):
            notes.append(f"Experiment {experiment_id} is not known here.")
            experiment_id = None
        else:
            ids = list(dict.fromkeys([*ids, *trial_ids(session, experiment_id)]))
    if len(ids) > MOST_TRIALS:
        notes.append(f"{len(ids)} trials were asked for; the first {MOST_TRIALS} are shown.")
    return Asked(ids[:MOST_TRIALS], notes, experiment_id)


def _experiment_id(notes: list[str]) -> int | None:
    text = request.args.get("experiment", "").strip()
    if text and not _is_row_id(text):
        notes.append(f"Not an experiment's number: {text[:20]}.")
    return int(text) if _is_row_id(text) else None


def _is_row_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < len(text) < 19 and int(text) > 0


def _visible(session: Session, asked: Asked) -> list[TrialRow]:
    """What this viewer may see of it. What is hidden reads like what does not exist."""
    found = rows_by_id(session, asked.ids)
    rows = [found[row_id] for row_id in asked.ids if row_id in found]
    rows = shown_trials(session, [row for row in rows if may_see(me(), row.owner_id)])
    shown = {row.id for row in rows}
    missing = [str(row_id) for row_id in asked.ids if row_id not in shown]
    if missing:
        many = len(missing) > 1
        names = f"{', '.join(missing[:10])}{' and others' if len(missing) > 10 else ''}"
        asked.notes.append(
            f"Trial{'s' if many else ''} {names} {'are' if many else 'is'} not known here."
        )
    return rows


def _curves(session: Session, trials: Sequence[TrialRow]) -> ChartSet | None:
    drawn = trials[:MOST_OVERLAID]
    ids = [row.id for row in drawn]
    metrics = metric_names(session, ids)
    metric = chosen_metric(metrics)
    if metric is None:
        return None
    found = curves_of_many(session, ids, [metric])
    by_trial = {row_id: curves[metric] for row_id, curves in found.items() if metric in curves}
    left_out = len(trials) - len(drawn)
    note = f"The curves of the first {len(drawn)}; {left_out} more are in the table."
    return overlaid_curves(drawn, by_trial, metric, metrics, note if left_out else "")


def _chosen(name: str, offered: Sequence[str]) -> str | None:
    wanted = request.args.get(name)
    return wanted if wanted in offered else offered[0] if offered else None


def _carried(*own: str) -> list[tuple[str, str]]:
    left_out = {*own, "fragment", "charts"}
    return [(name, value) for name, value in request.args.items(multi=True) if name not in left_out]


def _sort_keys(table: Comparison) -> dict[str, Callable[[TrialRow], Any]]:
    """By any column; numbers come before words, and rows without a value last."""
    order = {row.id: place for place, row in enumerate(table.trials)}
    keys: dict[str, Callable[[TrialRow], Any]] = {
        "given": lambda row: order[row.id],
        "trial": lambda row: row.id,
        "owner": lambda row: row.owner,
        "state": lambda row: row.state,
        "seconds": lambda row: row.seconds,
    }
    for name, column in table.parameters.items():
        keys[f"params.{name}"] = _key_of(column)
    for metric in table.metrics:
        keys[f"metrics.{metric.name}"] = _key_of(metric.values)
    return keys


def _key_of(column: Mapping[int, Any]) -> Callable[[TrialRow], Any]:
    return lambda row: _sortable(column[row.id])


def _sortable(value: Any) -> tuple[int, Any] | None:
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, value) if number else (1, str(value))


def _parallel(table: Comparison, objective: str | None) -> Markup | None:
    """Nothing where there is nothing to see: no parameter differs, or too few have a result."""
    if objective is None or not table.parameters or len(table.trials) < 2:
        return None
    metric = table.metric(objective)
    names = list(table.parameters)[: _MOST_AXES - 1]
    columns: list[Mapping[int, Any]] = [*(table.parameters[name] for name in names), metric.values]
    titles = [*(words(short_name(name)) for name in names), words(objective)]
    axes = [axis_of(title, column.values()) for title, column in zip(titles, columns, strict=True)]
    shades = _shades(metric)
    threads = [
        Thread(
            trial_id=row.id,
            values=[column[row.id] for column in columns],
            texts=[_text(column[row.id]) for column in columns],
            classes=_classes(row.id, shades, _is_shaded(table)),
        )
        for row in table.trials
    ]
    return parallel_coordinates("Parallel coordinates", axes, threads)


def _scatter(table: Comparison, against: str | None, objective: str | None) -> Markup | None:
    if against is None or objective is None:
        return None
    xs, ys = table.parameters[against], table.metric(objective).values
    x_title, y_title = words(short_name(against)), words(objective)
    dots = [
        Dot(
            row.id,
            xs[row.id],
            ys[row.id],
            f"{x_title} {_text(xs[row.id])}, {y_title} {_text(ys[row.id])}",
        )
        for row in table.trials
        if xs[row.id] is not None and ys[row.id] is not None
    ]
    title = f"{y_title[:1].upper()}{y_title[1:]} against {x_title}"
    return scatter(title, axis_of(x_title, xs.values()), axis_of(y_title, ys.values()), dots)


def _shades(metric: Metric) -> dict[int, int]:
    """Each trial's shade by how many did worse, 0 to `_SHADES` - 1."""
    known = sorted(
        (value, trial_id) for trial_id, value in metric.values.items() if value is not None
    )
    if metric.direction == "minimize":
        known.reverse()
    return {trial_id: place * _SHADES // len(known) for place, (_, trial_id) in enumerate(known)}


def _is_shaded(table: Comparison) -> bool:
    return len(table.trials) > _MOST_COLOURS


def _classes(trial_id: int, shades: Mapping[int, int], shaded: bool) -> str:
    if not shaded:
        return look_of(trial_id).classes
    return f"shade-{shades[trial_id]}" if trial_id in shades else "series-context"


def _text(value: Any) -> str:
    if value is None:
        return ""
    return metric_value(value) if isinstance(value, float) else short_value(value)
