"""Sorting a table by the page's address: `?sort=value` or `?sort=-value`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request

Row = TypeVar("Row")
Key = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Sorting:
    """The chosen column; an unknown one in the address is the default."""

    column: str
    descending: bool
    default: str

    @classmethod
    def from_request(cls, columns: Mapping[str, Key], default: str) -> Sorting:
        wanted = request.args.get("sort", default)
        column = wanted.removeprefix("-")
        if column not in columns:
            return cls(default, False, default)
        return cls(column, wanted.startswith("-"), default)

    def url(self, column: str) -> str:
        """The address that sorts by `column`, the other way round if it does so already."""
        wanted = f"-{column}" if column == self.column and not self.descending else column
        pairs = [
            (name, value)
            for name, value in request.args.items(multi=True)
            if name not in ("sort", "fragment", "charts", "cursor", "page")
        ]
        if wanted != self.default:
            pairs.append(("sort", wanted))
        return f"{request.path}?{urlencode(pairs)}" if pairs else request.path

    def apply(self, rows: Sequence[Row], columns: Mapping[str, Key]) -> list[Row]:
        """Sorted; rows without a value come last in both directions."""
        key = columns[self.column]
        known = [row for row in rows if key(row) is not None]
        unknown = [row for row in rows if key(row) is None]
        return sorted(known, key=key, reverse=self.descending) + unknown
