"""All trials across experiments, in the order that somebody wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, String, case, func, select, type_coerce
from sqlalchemy.orm import Session

from db.models import Experiment, MetricChunk, Result, Trial, User
from db.reads.documents import number_at, text_at
from db.reads.keyset import Order, Place, places
from db.reads.listing import Wanted, dialect_of, narrow_trials

Keys = Sequence[SQLColumnExpression[Any]]

# By these a list can be sorted, besides `metrics.NAME` and `params.PATH`.
_PLAIN: Mapping[str, Callable[[], SQLColumnExpression[Any]]] = {
    "state": lambda: type_coerce(Trial.state, String),
    "experiment": lambda: Experiment.name,
    "owner": lambda: User.name,
    "kind": lambda: Trial.kind,
    "model": lambda: Trial.code_name,
    "dataset": lambda: Trial.data_name,
    "device": lambda: func.coalesce(Result.device, Trial.device),
    "seed": lambda: Trial.seed,
    "progress": lambda: case(
        (Trial.progress_total > 0, Trial.progress_done / Trial.progress_total)
    ),
    "seconds": lambda: Result.seconds,
    "finished": lambda: Trial.finished_at,
}
# Ids are given out in the order of submission.
SORTABLE = ("submitted", *_PLAIN)
_JOINS: Mapping[str, tuple[str, ...]] = {
    "owner": ("user",),
    "experiment": ("experiment",),
    "device": ("result",),
    "seconds": ("result",),
}


def trial_places(
    session: Session,
    wanted: Wanted,
    column: str,
    descending: bool,
    after: Place | None,
    limit: int,
) -> list[Place]:
    """The places of at most `limit` trials by `column`, all after `after`.

    `column` is one of SORTABLE, `metrics.NAME` or `params.PATH`; a path leads through the resolved
    spec. Names must hold no quotation mark. Raises KeyError for any other column.
    """
    room, _, path = column.partition(".")
    query = select(Trial.id)
    keys: Keys = ()
    if path:
        keys = _document_keys(session, room, path)
        query = _joined(query, ("result",) if room == "metrics" else ())
    elif column != "submitted":
        keys = (_PLAIN[column](),)
        query = _joined(query, _JOINS.get(column, ()))
    query = narrow_trials(session, query, wanted)
    return places(session, query, Trial.id, Order(keys, descending), after, limit)


def live_values(session: Session, trial_ids: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """The newest value of each metric of these trials' newest attempts."""
    if not trial_ids:
        return {}
    newest = (
        select(func.max(MetricChunk.id))
        .join(Trial, (Trial.id == MetricChunk.trial_id) & (Trial.fence == MetricChunk.fence))
        .where(MetricChunk.trial_id.in_(trial_ids))
        .group_by(MetricChunk.trial_id, MetricChunk.name)
    )
    query = select(MetricChunk.trial_id, MetricChunk.name, MetricChunk.values).where(
        MetricChunk.id.in_(newest)
    )
    values: dict[int, dict[str, float | None]] = {}
    for trial_id, name, points in session.execute(query):
        values.setdefault(trial_id, {})[name] = points[-1]
    return values


def _document_keys(session: Session, room: str, path: str) -> Keys:
    dialect = dialect_of(session)
    if room == "metrics":
        return (number_at(dialect, Result.metrics, path),)
    if room == "params":
        parts = path.split(".")
        return (number_at(dialect, Trial.spec, *parts), text_at(dialect, Trial.spec, *parts))
    raise KeyError(f"{room}.{path}")


def _joined(query: Select[Any], rooms: Sequence[str]) -> Select[Any]:
    if "user" in rooms:
        query = query.join(User, User.id == Trial.owner_id)
    if "experiment" in rooms:
        query = query.join(Experiment, Experiment.id == Trial.experiment_id)
    if "result" in rooms:
        query = query.outerjoin(Result, Result.trial_id == Trial.id)
    return query
