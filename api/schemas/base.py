"""The base of all models, and what many of them share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


class Model(BaseModel):
    """A response model."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Query(BaseModel):
    """Query parameters; an unknown one is an error, so that a misspelt filter is not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """A small JSON body; true is no number here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _from_epoch_s(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    return value


def _as_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    datetime,
    BeforeValidator(_from_epoch_s),
    PlainSerializer(_as_text, return_type=str, when_used="json"),
]
"""A time: epoch seconds of the database's clock in, RFC 3339 in UTC out."""

JsonObject = dict[str, Any]

RowPathId = Annotated[int, Field(ge=1, lt=2**63)]


class ExperimentPath(BaseModel):
    experiment_id: RowPathId = Field(description="The experiment's number.")


class TrialPath(BaseModel):
    trial_id: RowPathId = Field(description="The trial's number.")
