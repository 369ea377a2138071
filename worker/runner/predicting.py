"""One question answered: the input read, the model asked, the numbers written beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from worker import protocol
from worker.protocol import OUTPUT_LIMIT_BYTES, Predict
from worker.runner import backend, inputs
from worker.runner.predictors import Predictors, of_this_process
from worker.runner.reasons import Diverged, InputUnfit
from worker.wire_types import Json

MOST_SHOWN: Final = 2048
"""Numbers of what the model saw that go back with the answer; they must fit into a message."""


def predict(
    question: Predict, threads: int, predictors: Predictors | None = None
) -> protocol.Predicted:
    """The answer to `question`; its numbers are in `answer-N-F.f32` in the question's folder.

    Raises NotTaken and InputUnfit for the input, Unsuitable, EntryBroken, DigestMismatch,
    CheckpointBroken, OSError, and whatever TensorFlow or the catalog's code raises.
    """
    began = time.perf_counter()
    backend.prepare(threads)
    predictor, was_here = (predictors or of_this_process()).of(question)
    loaded = time.perf_counter()
    content = (Path(question.folder) / question.input).read_bytes()
    read = inputs.read(content, question.form, question.options, predictor.shape, predictor.ink)
    arrays = predictor.answer(read.x)
    about: Json = {
        **read.about,
        "examples": len(read.x),
        "model_was_loaded": was_here,
        "load_seconds": round(loaded - began, 6),
        "answer_seconds": round(time.perf_counter() - loaded, 6),
    }
    if "turned_over" in about and read.x.size <= MOST_SHOWN:
        about["seen"] = _seen(read.x[0])
    return _written(question, arrays, about)


def _seen(pixels: NDArray[np.float32]) -> Json:
    """The picture [h, w, channels] as the model got it, in whole numbers 0..255."""
    numbers: list[Any] = np.round(pixels * 255).astype(int).reshape(-1).tolist()
    return {"shape": list(pixels.shape), "pixels": numbers}


def _written(
    question: Predict, arrays: Mapping[str, NDArray[np.float32]], about: Json
) -> protocol.Predicted:
    size = sum(array.nbytes for array in arrays.values())
    if size > OUTPUT_LIMIT_BYTES:
        raise InputUnfit(
            f"The answer would have {size:,} bytes; at most {OUTPUT_LIMIT_BYTES:,} are kept. Send "
            "fewer examples at once."
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise Diverged("the model's outputs are not all finite numbers.")
    content = b"".join(array.astype("<f4").tobytes() for array in arrays.values())
    name = f"answer-{question.prediction}-{question.fence}.f32"
    (Path(question.folder) / name).write_bytes(content)
    return protocol.Predicted(
        prediction=question.prediction,
        fence=question.fence,
        arrays=tuple(
            protocol.NamedArray(name=name, shape=array.shape) for name, array in arrays.items()
        ),
        file=name,
        bytes=len(content),
        sha256=sha256(content).hexdigest(),
        about=about,
    )
