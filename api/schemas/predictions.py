"""Predictions as the API shows them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import prod
from typing import Any, Literal

from pydantic import BaseModel, Field

from api.schemas.base import Instant, JsonObject, Model, Query, RowPathId
from db.models import Prediction as Row

# More than a class number and a probability cannot be told from float32.
_DIGITS = 7


class PredictionPath(BaseModel):
    trial_id: RowPathId = Field(description="The trial's number.")
    prediction_id: RowPathId = Field(description="The prediction's number.")


class AskQuery(Query):
    wait: float = Field(
        default=0, ge=0, le=25, description="Seconds to wait for the answer; 0 does not."
    )
    turn_over: Literal["auto", "yes", "no"] = Field(
        default="auto", description="Whether a picture's light and dark change places."
    )


class NamedArray(Model):
    """One array of an answer; its first axis counts the examples."""

    shape: list[int]
    values: list[Any] = Field(description="Nested lists of numbers of this shape.")


class Guess(Model):
    """The most probable class of one example."""

    label: int
    probability: float


class Prediction(Model):
    """A question to a trial's best checkpoint, and its answer."""

    id: int
    trial_id: int
    state: Literal["waiting", "running", "done", "failed"]
    form: str = Field(description="What was sent: numbers, png, jpeg, npz, npy, idx or csv.")
    created_at: Instant
    finished_at: Instant | None
    seconds: float | None = Field(description="From the question to its end.")
    waiting: str | None = Field(description="What it waits for, while it does.")
    reason_kind: str | None
    reason: str | None = Field(description="Why there is no answer.")
    epoch: int | None = Field(description="Of the checkpoint that was asked.")
    checkpoint_sha256: str | None
    arrays: dict[str, NamedArray] = Field(
        description="`probabilities` of a classifier, a row an example; else the raw outputs."
    )
    guesses: list[Guess] = Field(description="Of a classifier, for each example.")
    class_names: list[str] = Field(
        description="What the classes are called; empty where the data set does not say."
    )
    about: JsonObject = Field(description="What was done to the input, and how long it took.")
    url: str
    page_url: str


def prediction_of(row: Row, waiting: str | None, class_names: Sequence[str] = ()) -> Prediction:
    """A stored prediction with its numbers; names are left out unless there is one a class."""
    arrays = arrays_of(row)
    path = f"/trials/{row.trial_id}/predictions/{row.id}"
    ended = row.finished_at
    return Prediction.model_validate(
        {
            "id": row.id,
            "trial_id": row.trial_id,
            "state": row.state.value,
            "form": row.form,
            "created_at": row.created_at,
            "finished_at": ended,
            "seconds": None if ended is None else round(max(0.0, ended - row.created_at), 6),
            "waiting": waiting,
            "reason_kind": row.reason_kind if row.state == "failed" else None,
            "reason": row.reason if row.state == "failed" else None,
            "epoch": row.epoch,
            "checkpoint_sha256": row.checkpoint_sha256,
            "arrays": arrays,
            "guesses": _guesses(arrays),
            "class_names": list(class_names) if _classes(arrays) == len(class_names) else [],
            "about": row.about,
            "url": f"/api/v1{path}",
            "page_url": path,
        }
    )


def arrays_of(row: Row) -> dict[str, NamedArray]:
    """The arrays of an answer by name; none while there is none."""
    if row.outputs is None or row.arrays is None:
        return {}
    numbers = array("f", row.outputs)
    if array("H", [1]).tobytes() != b"\x01\x00":
        # They are stored in little-endian order.
        numbers.byteswap()
    found, start = {}, 0
    for item in row.arrays:
        count = prod(item["shape"])
        flat = [float(f"{value:.{_DIGITS}g}") for value in numbers[start : start + count]]
        found[item["name"]] = NamedArray(shape=item["shape"], values=_nested(flat, item["shape"]))
        start += count
    return found


def _nested(flat: list[Any], shape: list[int]) -> list[Any]:
    for size in reversed(shape[1:]):
        flat = [flat[start : start + size] for start in range(0, len(flat), size)] if size else []
    return flat


def _classes(arrays: dict[str, NamedArray]) -> int:
    found = arrays.get("probabilities")
    return found.shape[1] if found is not None and len(found.shape) == 2 else 0


def _guesses(arrays: dict[str, NamedArray]) -> list[Guess]:
    if not _classes(arrays):
        return []
    found = arrays["probabilities"]
    return [Guess(label=row.index(best := max(row)), probability=best) for row in found.values]
