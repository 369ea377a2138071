"""Experiments in the order that somebody wants, with the best that their trials came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Select, SQLColumnExpression, Subquery, case, func, select
from sqlalchemy.orm import Session

from db.models import Experiment, Result, Trial, User
from db.reads.documents import number_at
from db.reads.experiments import ExperimentRow, rows_of
from db.reads.keyset import Order, Place, places
from db.reads.listing import Wanted, dialect_of, narrow_experiments
from db.states import TERMINAL

Direction = Literal["maximize", "minimize"]

# Ids are given out in the order of submission.
SORTABLE = ("submitted", "name", "kind", "owner", "model", "dataset", "trials", "done")
_COUNTED = frozenset({"model", "dataset", "trials", "done"})


def experiment_places(
    session: Session,
    wanted: Wanted,
    column: str | Mapping[str, Direction],
    descending: bool,
    after: Place | None,
    limit: int,
) -> list[Place]:
    """The places of at most `limit` experiments by `column`, all after `after`.

    `column` is one of SORTABLE, or metrics with their directions: then each experiment stands by
    the best that its trials came to in the first of these metrics that any of them has. Names must
    hold no quotation mark. Raises KeyError for any other column.
    """
    query: Select[Any] = select(Experiment.id)
    keys: Sequence[SQLColumnExpression[Any]]
    if isinstance(column, Mapping):
        bests = [_best(session, name, better, wanted) for name, better in column.items()]
        for best in bests:
            query = query.outerjoin(best, best.c.experiment_id == Experiment.id)
        keys = [best.c.value for best in bests]
    elif column in _COUNTED:
        counted = _counted()
        query = query.outerjoin(counted, counted.c.experiment_id == Experiment.id)
        keys = (counted.c[column],)
    elif column == "owner":
        query = query.join(User, User.id == Experiment.owner_id)
        keys = (User.name,)
    else:
        keys = {"submitted": (), "name": (Experiment.name,), "kind": (Experiment.kind,)}[column]
    query = narrow_experiments(session, query, wanted)
    return places(session, query, Experiment.id, Order(keys, descending), after, limit)


def experiments_at(session: Session, found: Sequence[Place]) -> list[ExperimentRow]:
    """The experiments at these places, in their order."""
    rows = rows_of(session, [place.row_id for place in found])
    return [rows[place.row_id] for place in found if place.row_id in rows]


def best_values(
    session: Session, experiment_ids: Sequence[int], names: Mapping[str, Direction]
) -> dict[int, dict[str, float]]:
    """The best value of each metric that the trials of these experiments came to."""
    if not experiment_ids or not names:
        return {}
    dialect = dialect_of(session)
    values = [
        _extreme(direction)(number_at(dialect, Result.metrics, name))
        for name, direction in names.items()
    ]
    query = (
        select(Trial.experiment_id, *values)
        .join(Result, Result.trial_id == Trial.id)
        .where(Trial.experiment_id.in_(experiment_ids))
        .group_by(Trial.experiment_id)
    )
    return {
        row[0]: {
            name: value for name, value in zip(names, row[1:], strict=True) if value is not None
        }
        for row in session.execute(query)
    }


def _best(session: Session, name: str, direction: Direction, wanted: Wanted) -> Subquery:
    value = number_at(dialect_of(session), Result.metrics, name)
    query = (
        select(Trial.experiment_id, _extreme(direction)(value).label("value"))
        .join(Result, Result.trial_id == Trial.id)
        .group_by(Trial.experiment_id)
    )
    if wanted.owner_id is not None:
        query = query.where(Trial.owner_id == wanted.owner_id)
    return query.subquery()


def _counted() -> Subquery:
    finished = case((Trial.state.in_(sorted(TERMINAL)), 1.0), else_=0.0)
    return (
        select(
            Trial.experiment_id,
            func.count().label("trials"),
            func.avg(finished).label("done"),
            func.min(Trial.code_name).label("model"),
            func.min(Trial.data_name).label("dataset"),
        )
        .group_by(Trial.experiment_id)
        .subquery("counted")
    )


def _extreme(direction: Direction) -> Any:
    return func.max if direction == "maximize" else func.min
