"""The fit that every program of `sweep` does, and how such a program is spoken with.

It needs NumPy, Keras and scikit-learn alone: the peers' environment has no labpool. What it settles
is what a runner settles (`worker/runner/backend.py`), with one thread.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEST, VALIDATION = 0.2, 0.2
"""The shares of `digits` that labpool keeps for the final test and for validation."""

Examples = tuple[NDArray[np.float32], NDArray[np.int64]]
"""x [n, 64] from 0 to 1, y [n] from 0 to 9."""


@cache
def prepare() -> None:
    """Import TensorFlow, with one thread and deterministic operations."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.disable_traceback_filtering()
    keras.utils.set_random_seed(0)
    gc.freeze()


@cache
def digits() -> tuple[Examples, Examples]:
    """What is trained on and what validates: as many examples as labpool takes of `digits`."""
    from sklearn.datasets import load_digits

    examples = load_digits()
    x = (examples.data / 16).astype(np.float32)
    y = examples.target.astype(np.int64)
    order = _permutation(len(y))
    test = round(len(y) * TEST)
    validation = test + round(len(y) * VALIDATION)
    of_validation, of_training = order[test:validation], order[validation:]
    return (x[of_training], y[of_training]), (x[of_validation], y[of_validation])


def warm() -> None:
    """Pay for what a process loads once, by a first fit."""
    import keras

    prepare()
    (x, y), _ = digits()
    keras.utils.set_random_seed(0)
    _train({"parameters": {"hidden": [4], "activation": "relu"}, "epochs": 1}, (x[:64], y[:64]))


def fit(trial: dict[str, Any]) -> float:
    """Train a trial in a process that is `prepare`d; the last epoch's accuracy in validation.

    A trial has `parameters` (`hidden`, `activation`), `epochs`, `batch_size`, `learning_rate` and
    `seed`.
    """
    import keras

    training, validation = digits()
    keras.utils.clear_session()
    keras.utils.set_random_seed(trial["seed"])
    history = _train(trial, training, validation)
    return float(history["val_accuracy"][-1])


def answer(
    ready: Callable[[], AbstractContextManager[Any]], run: Callable[[Any, Any], int]
) -> None:
    """Say `ready` within what `ready()` makes, read a line of JSON, say `done` and what `run` says.

    `run` gets what was made and what was read, and tells how many trials it did. Whatever a library
    prints meanwhile goes to standard error.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as said:
        os.dup2(2, 1)
        with ready() as made:
            print("ready", file=said, flush=True)
            heard = json.loads(sys.stdin.readline())
            print(f"done {run(made, heard)}", file=said, flush=True)


def _permutation(count: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([0, 0]))).permutation(count)


def _train(trial: dict[str, Any], training: Examples, validation: Any = None) -> Any:
    """The history of a fit; what `trial` leaves out is Keras's own."""
    import keras

    x, y = training
    parameters = trial["parameters"]
    layers = [
        keras.layers.Dense(width, activation=parameters["activation"])
        for width in parameters["hidden"]
    ]
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers, keras.layers.Dense(10)])
    rate = trial.get("learning_rate", 1e-3)
    model.compile(
        optimizer=keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    fitted = model.fit(
        x, y, batch_size=trial.get("batch_size", 32), epochs=trial["epochs"], verbose=0,
        validation_data=validation,
    )  # fmt: skip
    return fitted.history
