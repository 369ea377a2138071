"""What a slot and its runner say to each other, version 1.

They talk over a socket pair in newline-delimited JSON. A slot treats its runner as hostile: every
line is bounded, every field typed strictly, unknown keys are refused, names follow patterns, and
text that a database could not hold (NUL, lone surrogates) or numbers that JSON could not (NaN,
infinity) never pass. Tensors and files do not travel here: a message names a file in the scratch
folder that the slot gave the runner.

A run message holds trials that are run one after another (or, later, together); each is answered by
`started`, any number of `metrics`, `progress`, `checkpoint` and `artifact`, then exactly one of
`result`, `failed`, `cancelled` or `paused`. `idle` closes the run.

A slot answers each `checkpoint` with `kept`. A runner ends no epoch after one before it has that
answer: so whatever dies, and whenever, no more is lost than what lies between two checkpoints.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from labpool.errors import LabpoolError
from worker.wire_types import (
    ENVIRONMENT_LIMIT_BYTES,
    LINE_LIMIT_BYTES,
    REASON_LIMIT_CHARACTERS,
    SUMMARY_LIMIT_BYTES,
    AbsolutePath,
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
    plain_json,
)

VERSION: Final = 1
_M = TypeVar("_M")


class ProtocolError(LabpoolError):
    """A line between a slot and its runner breaks the protocol."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _OfTrial(_Record):
    """A message about one claim of one trial; a slot drops those of another fence."""

    trial: Identity
    fence: Identity


# What a slot says.


class CodeReference(_Record):
    """A catalog entry that the runner loads after its digest was checked."""

    name: Label
    path: AbsolutePath
    digest: Digest


class Resume(_Record):
    """A checkpoint to go on from: a file in the trial's scratch folder."""

    file: FileName
    epoch: Count
    sha256: Digest


class TrialToRun(_OfTrial):
    """One trial as claimed: `spec` is resolved, `scratch` and `log` are absolute paths."""

    kind: Literal["train", "benchmark"]
    spec: Annotated[Json, AfterValidator(plain_json)]
    code: CodeReference
    data: CodeReference | None
    scratch: AbsolutePath
    log: AbsolutePath
    resume: Resume | None = None


class Run(_Record):
    """Run these trials, one after another."""

    type: Literal["run"] = "run"
    trials: Annotated[tuple[TrialToRun, ...], Field(min_length=1, max_length=64)]


class Cancel(_OfTrial):
    """Stop this trial at the next cancel point, or never start it."""

    type: Literal["cancel"] = "cancel"


class Pause(_OfTrial):
    """Save and give this trial back at the end of its epoch."""

    type: Literal["pause"] = "pause"


class Stop(_OfTrial):
    """End this trial with its epoch, and make a result of what there is."""

    type: Literal["stop"] = "stop"


class GoOn(_OfTrial):
    """Neither pause nor stop this trial any more; too late if it has been answered."""

    type: Literal["resume"] = "resume"


class Kept(_OfTrial):
    """The checkpoint of this epoch is recorded, or never will be: the runner need not wait."""

    type: Literal["kept"] = "kept"
    epoch: Count


class Bye(_Record):
    """End the process once it is idle."""

    type: Literal["bye"] = "bye"


# What a runner says.


class Hello(_Record):
    """First line of a runner, sent before anything heavy is imported."""

    type: Literal["hello"] = "hello"
    protocol: Literal[1] = 1
    pid: Identity
    versions: Annotated[dict[Label, Label], Field(max_length=32)]


class Ready(_Record):
    """Imports are done: a run starts at once from here on."""

    type: Literal["ready"] = "ready"


class Started(_OfTrial):
    """The trial's code is loaded and checked; `total` counts epochs or samples."""

    type: Literal["started"] = "started"
    environment: Annotated[Json, bounded_json(ENVIRONMENT_LIMIT_BYTES)]
    total: Positive
    unit: Unit


class Metrics(_OfTrial):
    """One point of each named curve; NaN and infinities travel as null.

    `step` counts optimiser steps (or samples) since the trial began, `time_s` seconds of this
    attempt; `epoch` is a whole number at an epoch's end and broken in between.
    """

    type: Literal["metrics"] = "metrics"
    step: Count
    epoch: Positive | None
    time_s: Positive
    values: Annotated[dict[MetricName, Number | None], Field(min_length=1, max_length=64)]


class Progress(_OfTrial):
    """How far the trial is; also the sign of life that the stall limit looks for."""

    type: Literal["progress"] = "progress"
    done: Positive
    total: Positive
    unit: Unit


class Checkpoint(_OfTrial):
    """A checkpoint that is already durable in the scratch folder."""

    type: Literal["checkpoint"] = "checkpoint"
    file: FileName
    epoch: Count
    bytes: Count
    sha256: Digest
    value: Number | None
    best: bool


class Artifact(_OfTrial):
    """A file for the user, already durable in the scratch folder."""

    type: Literal["artifact"] = "artifact"
    file: FileName
    name: Label
    media_type: MediaType
    bytes: Count
    sha256: Digest


class Result(_OfTrial):
    """The trial is done. `ended_early` marks a run that stopped before its last epoch."""

    type: Literal["result"] = "result"
    metrics: Annotated[dict[MetricName, Number], Field(max_length=64)]
    summary: Annotated[Json, bounded_json(SUMMARY_LIMIT_BYTES)]
    ended_early: bool


class Failed(_OfTrial):
    """The trial could not be completed, and why."""

    type: Literal["failed"] = "failed"
    reason_kind: ReasonKind
    reason: Reason


class Cancelled(_OfTrial):
    """The trial stopped because it was told to."""

    type: Literal["cancelled"] = "cancelled"


class Paused(_OfTrial):
    """The trial stopped at the end of `epoch`, whose checkpoint was announced or gone on from."""

    type: Literal["paused"] = "paused"
    epoch: Count


class Idle(_Record):
    """Every trial of the run has been answered; the next may come."""

    type: Literal["idle"] = "idle"


FromSlot: TypeAlias = Run | Cancel | Pause | Stop | GoOn | Kept | Bye
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
    | Idle
)
Message: TypeAlias = FromSlot | FromRunner

_FROM_SLOT: TypeAdapter[FromSlot] = TypeAdapter(Annotated[FromSlot, Field(discriminator="type")])
_FROM_RUNNER: TypeAdapter[FromRunner] = TypeAdapter(
    Annotated[FromRunner, Field(discriminator="type")]
)


def clean_text(text: str, limit: int = REASON_LIMIT_CHARACTERS) -> str:
    """`text` as the protocol carries it: no NUL, no lone surrogate, at most `limit` characters."""
    storable = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return storable if len(storable) <= limit else storable[: limit - 1] + "…"


def encode(message: Message) -> bytes:
    """One line with its newline. Raises ProtocolError when it would pass LINE_LIMIT_BYTES."""
    line = message.model_dump_json().encode() + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"a {message.type} message of {len(line)} bytes")
    return line


def parse_from_runner(line: bytes) -> FromRunner:
    """Read a runner's line. Raises ProtocolError naming the field, never the line's content."""
    return _parse(_FROM_RUNNER, line)


def parse_from_slot(line: bytes) -> FromSlot:
    """Read a slot's line. Raises ProtocolError naming the field."""
    return _parse(_FROM_SLOT, line)


def _parse(adapter: TypeAdapter[_M], line: bytes) -> _M:
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"a line longer than {LINE_LIMIT_BYTES} bytes")
    try:
        return adapter.validate_json(line)
    except ValidationError as error:
        # A line of hundreds of wrong fields must not become a message of hundreds of lines.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = "/".join(clean_text(str(part), 80) for part in first["loc"][:8]) or "the line"
        raise ProtocolError(f"{place}: {clean_text(first['msg'], 200)}") from None


class LineBuffer:
    """Cuts a byte stream into lines, however the reads fall.

    A peer that never sends a newline costs at most LINE_LIMIT_BYTES of memory.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by `data`, newlines taken off. Raises ProtocolError when one is too
        long; the stream is of no use after that."""
        *lines, rest = (self._rest + data).split(b"\n")
        if any(len(line) >= LINE_LIMIT_BYTES for line in (*lines, rest)):
            self._rest = b""
            raise ProtocolError(f"a line longer than {LINE_LIMIT_BYTES} bytes")
        self._rest = rest
        return lines
