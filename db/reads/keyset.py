"""Pages of a list in any order, without counting rows to skip: rows without a value come last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, SQLColumnExpression, literal, tuple_
from sqlalchemy.orm import Session

Value = int | float | str


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: by the first of `keys` that a row has, then by id.

    The numbers and the texts of one JSON field, say, are two keys of one order. No key at all means
    by id.
    """

    keys: Sequence[SQLColumnExpression[Any]]
    descending: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands in its order. `phase` counts the keys; past the last are rows without."""

    phase: int
    value: Value | None
    row_id: int


def places(
    session: Session,
    query: Select[Any],
    row_id: SQLColumnExpression[int],
    order: Order,
    after: Place | None,
    limit: int,
) -> list[Place]:
    """The places of at most `limit` rows of `query`, all after `after`.

    One statement for each key that is reached: with an index on (key, id) each reads `limit` rows.
    Raises ValueError when `after` is no place in this order.
    """
    _require_fit(order, after)
    found: list[Place] = []
    first = after.phase if after is not None else 0
    for phase in range(first, len(order.keys) + 1):
        here = after if after is not None and after.phase == phase else None
        statement = _phase(query, row_id, order, phase, here).limit(limit - len(found))
        found += [Place(phase, value, found_id) for found_id, value in session.execute(statement)]
        if len(found) >= limit:
            break
    return found


def _require_fit(order: Order, after: Place | None) -> None:
    """Postgres refuses to compare a text with a number."""
    if after is None:
        return
    if not 0 <= after.phase <= len(order.keys):
        raise ValueError("no such phase")
    if after.phase < len(order.keys):
        key: Any = order.keys[after.phase]
        if after.value is None or isinstance(after.value, str) != (key.type.python_type is str):
            raise ValueError("another kind of value")


def _phase(
    query: Select[Any],
    row_id: SQLColumnExpression[int],
    order: Order,
    phase: int,
    after: Place | None,
) -> Any:
    query = query.where(*(key.is_(None) for key in order.keys[:phase]))
    if phase < len(order.keys):
        return _with_value(query, row_id, order.keys[phase], order.descending, after)
    statement: Any = query.with_only_columns(row_id, literal(None))
    # Among rows without a value the newest come first, whichever way the others are sorted.
    descending = order.descending or bool(order.keys)
    if after is not None:
        past = row_id < after.row_id if descending else row_id > after.row_id
        statement = statement.where(past)
    return statement.order_by(row_id.desc() if descending else row_id.asc())


def _with_value(
    query: Select[Any],
    row_id: SQLColumnExpression[int],
    key: SQLColumnExpression[Any],
    descending: bool,
    after: Place | None,
) -> Any:
    statement = query.with_only_columns(row_id, key).where(key.is_not(None))
    if after is not None:
        here = tuple_(literal(after.value), literal(after.row_id))
        row = tuple_(key, row_id)
        statement = statement.where(row < here if descending else row > here)
    if descending:
        return statement.order_by(key.desc(), row_id.desc())
    return statement.order_by(key.asc(), row_id.asc())
