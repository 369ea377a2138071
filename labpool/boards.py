"""Parts of a board's TOML: the time it looks at, and named values that do not compete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PointField = Literal[
    "model", "parameters", "dataset", "dataset_parameters", "kernel", "variant", "sizes", "dtype",
    "launch", "device_name",
]  # fmt: skip
"""What a board may have one row for each value of."""
_OF_KERNELS: Final = frozenset({"kernel", "variant", "sizes", "dtype", "launch"})
_OF_MODELS: Final = frozenset({"model", "parameters", "dataset", "dataset_parameters"})


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


def require_points(per: Sequence[PointField], kind: str, rule: str) -> None:
    """Raises ValueError where a board of this kind and rule cannot have a row for each ``per``."""
    if len({*per}) < len(per):
        raise ValueError("per: a field stands there twice.")
    foreign = sorted({*per} & (_OF_KERNELS if kind == "train" else _OF_MODELS))
    if foreign:
        raise ValueError(f"per: {foreign[0]} is nothing that a {kind} spec has.")
    if per and rule != "best":
        raise ValueError("rule: a board with per has the best of each; say best.")


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
