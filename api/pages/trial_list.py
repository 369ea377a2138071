"""All trials across experiments: filtered, sorted, with any metric or parameter as a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from api.context import services
from api.pages.eta import remaining_s
from api.pages.experiment_list import experiment_filters, foreign_cursor
from api.pages.frame import page
from api.pages.lists import PER_PAGE, Column, Filter, ListState, measure, read_state
from api.pages.measures import parameters_of
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id, shown_by_id
from db.reads.keyset import Place
from db.reads.trial_list import SORTABLE, live_values, trial_places
from db.reads.trials import TrialRow, rows_by_id

pages = Blueprint("trial_list_pages", __name__)

_PATH = "/trials"
_MOST_OFFERED = 60
_COLUMNS = (
    Column("experiment", "Experiment"),
    Column("state", "State"),
    Column("progress", "Progress"),
    Column("owner", "Owner"),
    Column("kind", "Kind"),
    Column("model", "Model or kernel"),
    Column("dataset", "Data set"),
    Column("device", "Device"),
    Column("seed", "Seed", numeric=True),
    Column("seconds", "Seconds", numeric=True),
    Column("finished", "Finished"),
    Column("submitted", "Submitted"),
)
_BEFORE = ("experiment", "state", "progress", "owner", "model", "dataset")
_AFTER = ("seconds", "submitted")
# Parameters that have a column of their own.
_SHOWN = frozenset({"seed", "device"})
_METRICS = ("metrics.test_accuracy", "metrics.gflop_s")
_METRICS_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "train": ("metrics.test_accuracy", "metrics.val_accuracy"),
    "benchmark": ("metrics.gflop_s", "metrics.median_ms"),
}


@pages.get(_PATH)
@allow("member")
def list_trials() -> Response:
    filters = _filters()
    state = _state(filters)
    with services().database.snapshot() as session:
        places = _places(session, state)
        shown = places[:PER_PAGE]
        found = shown_by_id(session, rows_by_id(session, [place.row_id for place in shown]))
        rows = [found[place.row_id] for place in shown]
        running = [row.id for row in rows if not row.metrics and row.fence and not row.finished]
        live = live_values(session, running)
    values = {row.id: row.metrics or live.get(row.id, {}) for row in rows}
    parameters = {row.id: parameters_of(row.spec) for row in rows}
    return page(
        "trials.html",
        section="Experiments",
        title="Trials",
        state=state,
        filters=filters,
        columns=[_column(name) for name in state.columns],
        choices=_choices(state, rows, values.values(), parameters.values()),
        rows=rows,
        values=values,
        parameters=parameters,
        remaining={row.id: remaining_s(row) for row in rows},
        next_url=state.next_url(shown[-1]) if len(places) > PER_PAGE else None,
        first_url=state.address() if state.after else None,
    )


def _filters() -> list[Filter]:
    fields = experiment_filters(services().catalog, ("train", "benchmark"))
    named = {field.name: field for field in fields}
    named["state"] = Filter("state", "State", choices=named["state"].choices)
    return [*named.values(), Filter("experiment", "Experiment")]


def _state(filters: Sequence[Filter]) -> ListState:
    """Which metrics stand there unasked depends on the kind that the filter lets through."""
    names = [column.name for column in _COLUMNS]
    state = read_state(_PATH, filters, names, (), SORTABLE, "-submitted")
    metrics = _METRICS_OF_KIND.get(state.filters.get("kind", ""), _METRICS)
    return state.with_default((*_BEFORE, *metrics, *_AFTER))


def _places(session: Session, state: ListState) -> list[Place]:
    wanted = state.wanted(narrowed_owner_id(me()))
    try:
        return trial_places(
            session, wanted, state.column, state.descending, state.after, PER_PAGE + 1
        )
    except ValueError as error:
        raise foreign_cursor() from error


def _column(name: str) -> Column:
    return next((column for column in _COLUMNS if column.name == name), None) or measure(name)


def _choices(
    state: ListState,
    rows: Sequence[TrialRow],
    values: Iterable[Mapping[str, Any]],
    parameters: Iterable[Mapping[str, Any]],
) -> list[Column]:
    """Every column that the form offers: the fixed ones, and what these trials have."""
    names = [column.name for column in _COLUMNS] + list(state.columns)
    names += [f"metrics.{name}" for given in values for name in given]
    names += [f"params.{name}" for row in rows for name in row.varied]
    names += [f"params.{name}" for given in parameters for name in given if name not in _SHOWN]
    return [_column(name) for name in list(dict.fromkeys(names))[:_MOST_OFFERED]]
