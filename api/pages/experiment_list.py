"""The list of experiments: filtered, sorted and with columns as its address says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from flask import Blueprint, Response
from sqlalchemy.orm import Session

from api.context import services
from api.pages.filters import STATE_ORDER
from api.pages.frame import page
from api.pages.lists import PER_PAGE, Column, Filter, ListState, measure, read_state
from api.pages.measures import direction_of
from api.paging import bad_parameter
from api.problems import ApiProblem
from api.schemas.experiments import Kind
from api.security.identity import me
from api.security.roles import allow
from api.visibility import narrowed_owner_id
from db.reads.experiment_list import SORTABLE, best_values, experiment_places, experiments_at
from db.reads.keyset import Place
from labpool.catalog import Catalog
from labpool.measures import HEADLINES, Direction

pages = Blueprint("experiment_list_pages", __name__)

_PATH = "/experiments"
_COLUMNS = (
    Column("kind", "Kind"),
    Column("model", "Model or kernel"),
    Column("dataset", "Data set"),
    Column("owner", "Owner"),
    Column("trials", "Trials"),
    Column("done", "Done"),
    Column("best", "Best", numeric=True),
    Column("submitted", "Submitted"),
)
_DEFAULT = tuple(column.name for column in _COLUMNS)
# A list mixes kinds: each kind has its own headline.
_FALLBACKS: Mapping[str, str] = {"train": "test_accuracy", "benchmark": "gflop_s"}


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of an experiment's headline metric."""

    metric: str
    value: float


@pages.get(_PATH)
@allow("member")
def list_experiments() -> Response:
    catalog = services().catalog
    filters = experiment_filters(catalog)
    names = [column.name for column in _COLUMNS]
    state = read_state(_PATH, filters, names, _DEFAULT, ("best", *SORTABLE), "-submitted")
    heads = headlines(catalog)
    columns = [_column(name) for name in state.columns]
    metrics = {column.path for column in columns if column.is_measure} | set(heads)
    with services().database.snapshot() as session:
        places = _places(session, state, heads, catalog)
        shown = places[:PER_PAGE]
        rows = experiments_at(session, shown)
        better = {name: direction_of(name, catalog) or "maximize" for name in sorted(metrics)}
        values = best_values(session, [row.id for row in rows], better)
    return page(
        "experiments.html",
        section="Experiments",
        title="Experiments",
        state=state,
        filters=filters,
        columns=columns,
        choices=_choices(state, catalog),
        rows=rows,
        values=values,
        bests={row.id: _best(values.get(row.id, {}), heads) for row in rows},
        next_url=state.next_url(shown[-1]) if len(places) > PER_PAGE else None,
        first_url=state.address() if state.after else None,
    )


def experiment_filters(catalog: Catalog, kinds: Sequence[str] = get_args(Kind)) -> list[Filter]:
    """The fields of the filter form."""
    return [
        Filter("text", "Name contains"),
        Filter("owner", "Owner"),
        Filter("kind", "Kind", choices=kinds),
        Filter("state", "With a trial", choices=STATE_ORDER),
        Filter("model", "Model or kernel", known=[*catalog.models, *catalog.kernels]),
        Filter("dataset", "Data set", known=list(catalog.datasets)),
        Filter("tag", "Tag"),
    ]


def headlines(catalog: Catalog) -> dict[str, Direction]:
    """The metrics that may stand for an experiment, the first that it has doing so.

    First those that only some models are chosen by: they say more of these. Then each kind's own,
    and what its boards rank by.
    """
    own = [
        f"test_{model.judging.selects}"
        for model in catalog.models.values()
        if model.judging.selects in model.judging.metrics
    ]
    usual = list(_FALLBACKS.values())
    names = [name for name in own if name not in usual] + usual
    names += [board.metric for board in catalog.boards.values()]
    return {name: direction_of(name, catalog) or "maximize" for name in names}


def _places(
    session: Session, state: ListState, heads: Mapping[str, Direction], catalog: Catalog
) -> list[Place]:
    column: str | Mapping[str, Direction] = state.column
    if state.column == "best":
        column = heads
    elif state.column not in SORTABLE:
        name = state.column.partition(".")[2]
        column = {name: direction_of(name, catalog) or "maximize"}
    wanted = state.wanted(narrowed_owner_id(me()))
    try:
        return experiment_places(
            session, wanted, column, state.descending, state.after, PER_PAGE + 1
        )
    except ValueError as error:
        raise foreign_cursor() from error


def foreign_cursor() -> ApiProblem:
    return bad_parameter("cursor", "This is not a cursor that this list gave.")


def _column(name: str) -> Column:
    return next((column for column in _COLUMNS if column.name == name), None) or measure(name)


def _choices(state: ListState, catalog: Catalog) -> list[Column]:
    """Every column that the form offers, the chosen ones with it."""
    metrics = [*HEADLINES, *(board.metric for board in catalog.boards.values())]
    names = [*_DEFAULT, *(f"metrics.{name}" for name in metrics), *state.columns]
    return [_column(name) for name in dict.fromkeys(names)]


def _best(values: Mapping[str, float], heads: Mapping[str, Any]) -> Best | None:
    return next((Best(name, values[name]) for name in heads if name in values), None)
