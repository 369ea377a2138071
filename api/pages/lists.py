"""A list's state in its address: filter, columns, order and place, all by plain links and forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from flask import request

from api.pages.filters import words
from api.pages.measures import measure_column, short_name
from api.paging import bad_parameter, decode_cursor, encode_cursor
from api.problems import ApiProblem
from db.reads.keyset import Place
from db.reads.listing import Wanted

PER_PAGE = 50
_LONGEST_VALUE = 200
_MOST_COLUMNS = 24


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, by the name that it has in addresses."""

    name: str
    title: str
    numeric: bool = False

    @property
    def is_measure(self) -> bool:
        return "." in self.name

    @property
    def path(self) -> str:
        """A measure's metric name or parameter path."""
        return self.name.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Filter:
    """A field of the filter form; with `choices` a list to choose from, with `known` hints."""

    name: str
    title: str
    choices: Sequence[str] = ()
    known: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ListState:
    """What the address asks of a list; whatever makes no sense there is as if it were absent."""

    path: str
    filters: Mapping[str, str]
    columns: tuple[str, ...]
    default_columns: tuple[str, ...]
    column: str
    descending: bool
    default_sort: str
    after: Place | None

    @property
    def filtered(self) -> bool:
        return bool(self.filters)

    @property
    def sort(self) -> str:
        return f"-{self.column}" if self.descending else self.column

    def address(self, **changes: object) -> str:
        """The shortest address of this state after `changes`; it begins at the first page."""
        state = replace(self, after=None, **changes)  # type: ignore[arg-type]
        pairs = list(state.filters.items())
        if state.columns != state.default_columns:
            pairs += [("columns", name) for name in state.columns]
        if state.sort != state.default_sort:
            pairs.append(("sort", state.sort))
        return f"{state.path}?{urlencode(pairs)}" if pairs else state.path

    def url(self, column: str) -> str:
        """The address that sorts by `column`, the other way round if it does so already."""
        turned = column == self.column and not self.descending
        return self.address(column=column, descending=turned)

    def next_url(self, place: Place) -> str:
        """The address of what follows `place`."""
        here = self.address()
        cursor = urlencode({"cursor": cursor_of(self.column, place)})
        return f"{here}{'&' if '?' in here else '?'}{cursor}"

    def with_default(self, columns: Sequence[str]) -> ListState:
        """The same, with other columns where nobody chose any."""
        chosen = tuple(columns) if self.columns == self.default_columns else self.columns
        return replace(self, columns=chosen, default_columns=tuple(columns))

    def wanted(self, owner_id: int | None) -> Wanted:
        """The filter as the database takes it; a viewer sees at most what `owner_id` has."""
        asked: dict[str, Any] = {**self.filters}
        if "experiment" in asked:
            asked["experiment_id"] = _row_id(asked.pop("experiment"))
        return Wanted(owner_id=owner_id, **asked)


def read_state(
    path: str,
    filters: Sequence[Filter],
    columns: Sequence[str],
    default_columns: Sequence[str],
    sortable: Sequence[str],
    default_sort: str,
) -> ListState:
    """The state in this request's address. `columns` are those to choose from, besides measures."""
    chosen = _columns(columns) or tuple(default_columns)
    wanted = request.args.get("sort", "")
    column = wanted.removeprefix("-")
    if column not in sortable and measure_column(column) is None:
        wanted, column = default_sort, default_sort.removeprefix("-")
    return ListState(
        path=path,
        filters=_filters(filters),
        columns=chosen,
        default_columns=tuple(default_columns),
        column=column,
        descending=wanted.startswith("-"),
        default_sort=default_sort,
        after=place_of(column, request.args.get("cursor")),
    )


def measure(name: str) -> Column:
    """The column of `metrics.NAME` or `params.PATH`."""
    title = words(short_name(name))
    return Column(name, title[:1].upper() + title[1:], numeric=name.startswith("metrics."))


def cursor_of(column: str, place: Place) -> str:
    """The opaque text of a place in the list sorted by `column`."""
    value = place.value
    kind = "-" if value is None else type(value).__name__[0]
    text = "" if value is None else value if isinstance(value, str) else repr(value)
    return encode_cursor((column, place.phase, kind + text, place.row_id))


def place_of(column: str, cursor: str | None) -> Place | None:
    """The place of a cursor. Raises ApiProblem 422 for one that this list did not give."""
    found = decode_cursor(cursor, (str, int, str, int))
    if found is None:
        return None
    given, phase, text, row_id = found
    if given != column or not isinstance(text, str) or None in (phase, row_id):
        raise _foreign_cursor()
    return Place(int(phase or 0), _value(text), int(row_id or 0))


def _value(text: str) -> int | float | str | None:
    kind, rest = text[:1], text[1:]
    try:
        if kind == "f" and math.isfinite(float(rest)):
            return float(rest)
        if kind == "i" and abs(int(rest)) < 2**63:
            return int(rest)
    except ValueError:
        pass
    if kind in "-s" and kind:
        return rest if kind == "s" else None
    raise _foreign_cursor()


def _row_id(text: str) -> int:
    """The number of a row; 0, which no row has, for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _foreign_cursor() -> ApiProblem:
    return bad_parameter("cursor", "This is not a cursor that this list gave.")


def _filters(filters: Sequence[Filter]) -> dict[str, str]:
    found = {}
    for one in filters:
        value = request.args.get(one.name, "").strip()[:_LONGEST_VALUE]
        if value and "\0" not in value and (not one.choices or value in one.choices):
            found[one.name] = value
    return found


def _columns(known: Sequence[str]) -> tuple[str, ...]:
    asked = [*request.args.getlist("columns"), *request.args.get("more", "").split(",")]
    names = [name if name in known else measure_column(name) for name in asked if name]
    return tuple(dict.fromkeys(name for name in names if name))[:_MOST_COLUMNS]
