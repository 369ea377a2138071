"""Results that are there already, as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from api.schemas.base import Instant, JsonObject, Model, Query
from api.schemas.trials import trial_urls
from db.duplicates import Duplicate as Found

_SHOWN = 50


class Duplicate(Model):
    """A trial that has succeeded with the same spec, seed, code and data."""

    number: int = Field(description="Which trial of the spec it is the same as.")
    trial_id: int
    owner: str
    finished_at: Instant | None
    metrics: JsonObject
    url: str
    page_url: str


class SubmitQuery(Query):
    if_duplicate: Literal["run", "return"] = Field(
        default="run",
        description="return: store nothing when every trial has a result already, and answer "
        "with those.",
    )


def shown_of(found: Sequence[Found]) -> list[Duplicate]:
    """The first of them."""
    return [
        Duplicate.model_validate(
            {
                "number": one.number,
                "trial_id": one.trial_id,
                "owner": one.owner,
                "finished_at": one.finished_at,
                "metrics": dict(one.metrics),
                **trial_urls(one.trial_id),
            }
        )
        for one in found[:_SHOWN]
    ]
