"""Parts of a board's TOML: the time it looks at, and named values that do not compete."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Window(BaseModel):
    """Results that count by when they finished, in UTC: all when nothing is said.

    ``since`` and ``until`` are days and belong to it; ``days`` counts back from now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date | None = None
    until: date | None = None
    days: int | None = Field(default=None, ge=1, le=36_500)

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise ValueError("since is later than until.")
        return self

    @property
    def from_s(self) -> float | None:
        """The first moment that counts, in seconds since 1970."""
        return None if self.since is None else _midnight_s(self.since)

    @property
    def before_s(self) -> float | None:
        """The first moment that counts no more, in seconds since 1970."""
        if self.until is None:
            return None
        return _midnight_s(self.until) + timedelta(days=1).total_seconds()

    @property
    def text(self) -> str:
        """'since 2026-01-01, the last 30 days'; empty for all time."""
        parts = [
            f"since {self.since}" if self.since else "",
            f"until {self.until}" if self.until else "",
            f"the last {self.days} days" if self.days else "",
        ]
        return ", ".join(filter(None, parts))


class Baseline(BaseModel):
    """A value to compare with, in the board's unit; ``source`` says where it is from."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field(min_length=1, max_length=80)
    value: float
    source: str = Field(min_length=1, max_length=400)


Wanted = str | int | float | bool | list[str]


def with_defaults(where: Mapping[str, Wanted], defaults: Mapping[str, Any]) -> dict[str, Wanted]:
    """What a board fixes, its data set's parameters at their ``defaults`` where it says nothing.

    Rows on data that is made easier, or has fewer classes, cannot be compared with the others.
    """
    fixed = {
        f"dataset_parameters.{name}": value
        for name, value in defaults.items()
        if isinstance(value, str | int | float)
    }
    return {**where, **{path: value for path, value in fixed.items() if path not in where}}


def _midnight_s(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
