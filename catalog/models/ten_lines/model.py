"""Two layers of sigmoids and their gradients, written out in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Epoch, Exam, Examples, State, Unsuitable

STEPS_BETWEEN_CANCEL_POINTS = 500
Array = NDArray[np.float64]


def begin(parameters: Mapping[str, Any], seed: int, data: Examples | None) -> State:
    """Both matrices, uniform in -1..1: `syn0` [features, hidden], `syn1` [hidden, 1]."""
    x, _ = _table(data)
    random = np.random.default_rng(seed)
    hidden = parameters["hidden"]
    return {
        "syn0": 2 * random.random((x.shape[1], hidden)) - 1,
        "syn1": 2 * random.random((hidden, 1)) - 1,
    }


def advance(
    parameters: Mapping[str, Any], state: State, epoch: Epoch, data: Examples | None
) -> tuple[State, Mapping[str, float]]:
    """`steps_per_epoch` steps, each on the whole table."""
    x, y = _table(data)
    syn0, syn1 = state["syn0"], state["syn1"]
    rate, steps = epoch.learning_rate or 1.0, parameters["steps_per_epoch"]
    l2 = y
    for step in range(steps):
        if step % STEPS_BETWEEN_CANCEL_POINTS == 0:
            epoch.cancel_point(step / steps)
        l1 = _sigmoid(x @ syn0)
        l2 = _sigmoid(l1 @ syn1)
        l2_delta = (y - l2) * (l2 * (1 - l2))
        l1_delta = (l2_delta @ syn1.T) * (l1 * (1 - l1))
        syn1 += rate * (l1.T @ l2_delta)
        syn0 += rate * (x.T @ l1_delta)
    return {"syn0": syn0, "syn1": syn1}, {"loss": float(np.mean((y - l2) ** 2))}


def evaluate(
    parameters: Mapping[str, Any], state: State, exam: Exam, data: Examples | None
) -> Mapping[str, float]:
    """How far the outputs are from the table."""
    del parameters  # the matrices say it all
    x, y = _table(data)
    exam.cancel_point(0.0)
    error = np.abs(y - _outputs(state, x))
    return {
        "loss": float(np.mean(error**2)),
        "largest_error": float(error.max()),
        "accuracy": float(np.mean(error < 0.5)),
    }


def predict(
    parameters: Mapping[str, Any], state: State, x: NDArray[np.float32]
) -> NDArray[np.float64]:
    """[n, features] -> [n, 1], each in 0..1."""
    del parameters  # the matrices say it all
    return _outputs(state, x.astype(np.float64))


def _outputs(state: State, x: Array) -> Array:
    return _sigmoid(_sigmoid(x @ state["syn0"]) @ state["syn1"])


def _sigmoid(z: Array) -> Array:
    # Beyond 700 the exponential is no number any more, and 1 is the answer long before.
    return np.asarray(1 / (1 + np.exp(-np.clip(z, -700, 700))))


def _table(data: Examples | None) -> tuple[Array, Array]:
    """Inputs [n, features] and answers [n, 1], which must be 0 or 1."""
    if data is None or data.classes != 2:
        raise Unsuitable("One output neuron tells two classes apart; take a data set of two.")
    return data.x.astype(np.float64), data.y[:, None].astype(np.float64)
