"""What a worker's predictor and its runner say to each other.

Inputs and outputs are files in the folder that the predictor names; a message tells their names,
sizes and digests. A `predict` is answered by exactly one `predicted` or `unpredicted`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from labpool.sent import Form
from worker.protocol.from_slot import CodeReference
from worker.protocol.record import Record
from worker.wire_types import (
    SUMMARY_LIMIT_BYTES,
    AbsolutePath,
    Count,
    Digest,
    FileName,
    Identity,
    Json,
    MetricName,
    Reason,
    ReasonKind,
    bounded_json,
    plain_json,
)

OUTPUT_LIMIT_BYTES = 2 * 1024 * 1024
"""Most bytes of one answer's numbers."""


class OfPrediction(Record):
    """A message about one try at one prediction."""

    prediction: Identity
    fence: Identity


class Predict(OfPrediction):
    """One question. `spec` is the resolved one that the model was trained by.

    `folder` holds `input`, and gets the output; `checkpoint` is a file of the artifact store,
    copied to this machine.
    """

    type: Literal["predict"] = "predict"
    spec: Annotated[Json, AfterValidator(plain_json)]
    code: CodeReference
    data: CodeReference | None
    checkpoint: AbsolutePath
    checkpoint_sha256: Digest
    folder: AbsolutePath
    input: FileName
    form: Form
    options: Annotated[Json, AfterValidator(plain_json)]


class NamedArray(Record):
    """One array of an answer: float32, its first axis counts the examples."""

    name: MetricName
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)]


class Predicted(OfPrediction):
    """The answer: `file` holds the arrays one after the other, little-endian."""

    type: Literal["predicted"] = "predicted"
    arrays: Annotated[tuple[NamedArray, ...], Field(min_length=1, max_length=16)]
    file: FileName
    bytes: Annotated[int, Field(ge=0, le=OUTPUT_LIMIT_BYTES)]
    sha256: Digest
    about: Annotated[Json, bounded_json(SUMMARY_LIMIT_BYTES)]


class Unpredicted(OfPrediction):
    """There is no answer, and why."""

    type: Literal["unpredicted"] = "unpredicted"
    reason_kind: ReasonKind
    reason: Reason
