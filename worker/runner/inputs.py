"""From what somebody sent to the examples that a model takes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.dataset_form import Ink
from labpool.sdk import DataShape
from labpool.sent import PICTURES, Form, count_of
from worker.runner import number_files, own_pictures
from worker.runner.reasons import InputUnfit
from worker.wire_types import Json

_LARGEST = float(np.finfo(np.float32).max)
# Of pictures whose numbers went through floats of another width.
_SLACK = 1e-4


@dataclass(frozen=True)
class Inputs:
    """`x` float32 [n, *shape], in the form of the data set, and what was done to a picture."""

    x: NDArray[np.float32]
    about: Json


def read(data: bytes, form: Form, options: Json, shape: DataShape, ink: Ink | None) -> Inputs:
    """The examples in `data`, of the data set's `shape`. Raises NotTaken, InputUnfit."""
    if form in PICTURES:
        return _picture(data, form, options, shape, ink)
    numbers = np.asarray(json.loads(data)) if form == "numbers" else number_files.read(data, form)
    return Inputs(_examples(numbers, shape), {})


def _picture(data: bytes, form: Form, options: Json, shape: DataShape, ink: Ink | None) -> Inputs:
    if shape.kind != "image":
        raise InputUnfit(
            f"The model was trained on rows of {shape.features} numbers, not on pictures; send "
            "numbers."
        )
    chosen: Any = options.get("turn_over", "auto")
    fitted = own_pictures.fit(own_pictures.decode(data, form), shape.shape, ink, chosen)
    pixels = np.clip(fitted.pixels, 0, 1).astype(np.float32)
    about: Json = {"turned_over": fitted.turned_over, "cut_to_ink": fitted.cut_to_ink}
    return Inputs(pixels[None], about)


def _examples(numbers: NDArray[Any], shape: DataShape) -> NDArray[np.float32]:
    """One or several examples, laid out as the data set's or flat: [n, *shape]."""
    if numbers.dtype.kind not in "buif":
        raise InputUnfit("Numbers are wanted, in rows of equal length.")
    if numbers.dtype.itemsize == 1 and numbers.dtype.kind == "u" and shape.kind == "image":
        numbers = numbers / np.float32(255)
    x = numbers.reshape(count_of(numbers.shape, shape.shape), *shape.shape)
    # NaN compares false with everything.
    wrong = ~(np.abs(x) <= _LARGEST).reshape(len(x), -1).all(axis=1)
    if wrong.any():
        raise InputUnfit(f"Example {int(wrong.argmax()) + 1} holds a number that is not finite.")
    if shape.kind == "image" and (x.min() < -_SLACK or x.max() > 1 + _SLACK):
        raise InputUnfit(
            f"The numbers go from {x.min():g} to {x.max():g}; pixels of pictures are numbers in "
            "0..1, or bytes (uint8) in NPZ, NPY and IDX files."
        )
    return np.ascontiguousarray(x, dtype=np.float32)
