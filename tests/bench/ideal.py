"""The least that Keras itself needs for trials: the same fits back to back in warm processes.

``python -m tests.bench.ideal`` imports TensorFlow, says ``ready``, reads one line of JSON, a list
of trials, fits them one after another and says ``done``. There is no queue, no checkpoint, no
result kept: nothing that shares machines can be faster by `fit` than this.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from worker.runner import backend, data
from worker.runner.optimizers import make


def main() -> None:
    backend.prepare(1)
    import keras
    from sklearn.datasets import load_digits

    examples = load_digits()
    x = (examples.data / 16).astype(np.float32)
    y = examples.target.astype(np.int64)
    training, validation = _split(len(y))
    keras.utils.set_random_seed(0)
    # The first fit of a process pays for what is loaded once.
    _fit(keras, {"hidden": [4], "activation": "relu"}, x[training][:64], y[training][:64], 1)
    print("ready", flush=True)
    for trial in json.loads(sys.stdin.readline()):
        keras.utils.clear_session()
        keras.utils.set_random_seed(trial["seed"])
        _fit(
            keras, trial["parameters"], x[training], y[training], trial["epochs"],
            trial["batch_size"], trial["learning_rate"], (x[validation], y[validation]),
        )  # fmt: skip
    print("done", flush=True)


def _split(count: int) -> tuple[Any, Any]:
    """As many examples to train on and to validate with as labpool takes of `digits`."""
    order = data.permutation(count, 0, 0)
    fifth = round(count * 0.2)
    return order[2 * fifth :], order[fifth : 2 * fifth]


def _fit(
    keras: Any, parameters: Any, x: Any, y: Any, epochs: int, batch_size: int = 32,
    learning_rate: float = 1e-3, validation: Any = None,
) -> None:  # fmt: skip
    layers = [
        keras.layers.Dense(width, activation=parameters["activation"])
        for width in parameters["hidden"]
    ]
    model = keras.Sequential([keras.Input(x.shape[1:]), *layers, keras.layers.Dense(10)])
    optimizer = make("adam")
    optimizer.learning_rate = learning_rate
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, validation_data=validation)


if __name__ == "__main__":
    main()
