"""What a runner says."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from worker.protocol.record import OfTrial, Record
from worker.wire_types import (
    ENVIRONMENT_LIMIT_BYTES,
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
    protocol: Literal[1] = 1
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


class Metrics(OfTrial):
    """One point of each named curve; NaN and infinities travel as null.

    `step` counts optimiser steps (or samples) since the trial began, `time_s` seconds of this
    attempt; `epoch` is a whole number at an epoch's end and broken in between.
    """

    type: Literal["metrics"] = "metrics"
    step: Count
    epoch: Positive | None
    time_s: Positive
    values: Annotated[dict[MetricName, Number | None], Field(min_length=1, max_length=64)]


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
    | Metrics
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
