"""What a runner says."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from worker.protocol.record import OfTrial, Record
from worker.wire_types import (
    ENVIRONMENT_LIMIT_BYTES,
    POINTS_LIMIT_NUMBERS,
    SUMMARY_LIMIT_BYTES,
    Count,
    Digest,
    FileName,
    Identity,
    Json,
    Label,
    MediaType,
    MetricName,
    Number,
    Positive,
    Reason,
    ReasonKind,
    Unit,
    bounded_json,
)


class Hello(Record):
    """First line of a runner, sent before anything heavy is imported."""

    type: Literal["hello"] = "hello"
    protocol: Literal[2] = 2
    pid: Identity
    versions: Annotated[dict[Label, Label], Field(max_length=32)]


class Ready(Record):
    """Imports are done: a run starts at once from here on."""

    type: Literal["ready"] = "ready"


class Started(OfTrial):
    """The trial's code is loaded and checked; `total` counts epochs or samples."""

    type: Literal["started"] = "started"
    environment: Annotated[Json, bounded_json(ENVIRONMENT_LIMIT_BYTES)]
    total: Positive
    unit: Unit


class Points(OfTrial):
    """Points of one or more curves, which share their steps; NaN and infinities travel as null.

    `steps` count optimiser steps (or samples) since the trial began, and go up; `times_s` are
    seconds of this attempt; an epoch is a whole number at its end and broken in between. `values`
    holds each curve's, by name.
    """

    type: Literal["points"] = "points"
    steps: Annotated[tuple[Count, ...], Field(min_length=1)]
    epochs: tuple[Positive | None, ...]
    times_s: tuple[Positive, ...]
    values: Annotated[
        dict[MetricName, tuple[Number | None, ...]], Field(min_length=1, max_length=64)
    ]

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        columns = {"epochs": self.epochs, "times_s": self.times_s, **self.values}
        for name, column in columns.items():
            if len(column) != len(self.steps):
                raise ValueError(f"{name} is of {len(column)}, steps of {len(self.steps)}")
        numbers = len(self.steps) * (1 + len(columns))
        if numbers > POINTS_LIMIT_NUMBERS:
            raise ValueError(f"holds {numbers} numbers, more than {POINTS_LIMIT_NUMBERS}")
        if any(later <= step for step, later in pairwise(self.steps)):
            raise ValueError("steps do not go up")
        return self


class Progress(OfTrial):
    """How far the trial is; also the sign of life that the stall limit looks for."""

    type: Literal["progress"] = "progress"
    done: Positive
    total: Positive
    unit: Unit


class Checkpoint(OfTrial):
    """A checkpoint that is already durable in the scratch folder."""

    type: Literal["checkpoint"] = "checkpoint"
    file: FileName
    epoch: Count
    bytes: Count
    sha256: Digest
    value: Number | None
    best: bool


class Artifact(OfTrial):
    """A file for the user, already durable in the scratch folder."""

    type: Literal["artifact"] = "artifact"
    file: FileName
    name: Label
    media_type: MediaType
    bytes: Count
    sha256: Digest


class Result(OfTrial):
    """The trial is done. `ended_early` marks a run that stopped before its last epoch."""

    type: Literal["result"] = "result"
    metrics: Annotated[dict[MetricName, Number], Field(max_length=64)]
    summary: Annotated[Json, bounded_json(SUMMARY_LIMIT_BYTES)]
    ended_early: bool


class Failed(OfTrial):
    """The trial could not be completed, and why."""

    type: Literal["failed"] = "failed"
    reason_kind: ReasonKind
    reason: Reason


class Cancelled(OfTrial):
    """The trial stopped because it was told to."""

    type: Literal["cancelled"] = "cancelled"


class Paused(OfTrial):
    """The trial stopped at the end of `epoch`, whose checkpoint was announced or gone on from."""

    type: Literal["paused"] = "paused"
    epoch: Count


class Apart(OfTrial):
    """Trials that were to run together cannot: this one runs alone now, the others not at all.

    `for_good`: no trials of that architecture can.
    """

    type: Literal["apart"] = "apart"
    reason: Reason
    for_good: bool


class Idle(Record):
    """Every trial of the run has been answered; the next may come."""

    type: Literal["idle"] = "idle"


FromRunner: TypeAlias = (
    Hello
    | Ready
    | Started
    | Points
    | Progress
    | Checkpoint
    | Artifact
    | Result
    | Failed
    | Cancelled
    | Paused
    | Apart
    | Idle
)
