"""A checked spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from api.schemas.base import JsonObject, Model
from api.schemas.duplicates import Duplicate, shown_of
from db.duplicates import Duplicate as Found
from labpool.planning import Plan

_SHOWN_TRIALS = 50


class PlannedTrial(Model):
    number: int
    kind: Literal["train", "benchmark"]
    varied: JsonObject
    spec: JsonObject = Field(description="Every default filled in.")


class CheckedSpec(Model):
    """What a submission of this spec would make; nothing is stored."""

    kind: Literal["train", "sweep", "benchmark"]
    spec: JsonObject
    trial_count: int
    trials: list[PlannedTrial] = Field(description=f"The first {_SHOWN_TRIALS} of them.")
    duplicates: list[Duplicate] = Field(
        description="Results of the same that are there already: the first 50."
    )
    duplicate_count: int


def checked_of(plan: Plan, duplicates: Sequence[Found]) -> CheckedSpec:
    trials = [
        PlannedTrial(
            number=trial.number,
            kind=trial.kind,
            varied=_plain(trial.varied),
            spec=_plain(trial.spec),
        )
        for trial in plan.trials[:_SHOWN_TRIALS]
    ]
    return CheckedSpec(
        kind=plan.kind,
        spec=_plain(plan.spec),
        trial_count=len(plan.trials),
        trials=trials,
        duplicates=shown_of(duplicates),
        duplicate_count=len(duplicates),
    )


def _plain(mapping: Mapping[str, Any]) -> JsonObject:
    return dict(mapping)
