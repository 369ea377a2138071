"""A trial by Keras's `fit`, as people write it: the work of every peer as people use it.

One thread a process, for two share two cores. Neither deterministic operations nor labpool's
order are asked of them. The best epoch by validation is kept and tested, as labpool does.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Split = tuple[NDArray[np.float32], NDArray[np.int64]]
SPLITS_SEED, TEST, VALIDATION = 20260101, 0.2, 0.2
"""As `catalog/datasets/digits.toml` has them."""


@cache
def prepare() -> None:
    """Import TensorFlow, on one thread."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


@cache
def digits(side: int) -> tuple[Split, Split, Split]:
    """Training, validation and test images [n, side, side, 1] from 0 to 1: labpool's own splits.

    Other sides than 8 are labpool's own enlargement.
    """
    from sklearn.datasets import load_digits

    from worker.runner.data import resize

    images, labels = load_digits(return_X_y=True)
    x = resize((images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32), side, side)
    y = labels.astype(np.int64)
    order = np.random.Generator(np.random.PCG64(SPLITS_SEED)).permutation(len(y))
    test = round(len(y) * TEST)
    validation = test + round(len(y) * VALIDATION)
    parts = order[:test], order[test:validation], order[validation:]
    of_test, of_validation, of_training = ((x[part], y[part]) for part in parts)
    return of_training, of_validation, of_test


def warm() -> None:
    """Pay for what a process loads once."""
    import keras

    prepare()
    (x, y), _, _ = digits(8)
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Flatten(), _logits()])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:64], y[:64], verbose=0)


def fit(trial: dict[str, Any]) -> float:
    """Train a trial; the accuracy of its best epoch's weights on the test split."""
    import keras

    prepare()
    training, validation, test = digits(side_of(trial["parameters"]))
    keras.utils.clear_session()
    keras.utils.set_random_seed(trial["seed"])
    rate, decay, epochs = (
        trial[name] for name in ("learning_rate", "learning_rate_decay", "epochs")
    )
    model = network(trial["parameters"])
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    model.fit(
        *training, batch_size=trial["batch_size"], epochs=epochs, verbose=0,
        validation_data=validation,
        callbacks=[
            keras.callbacks.LearningRateScheduler(lambda epoch, _: rate * decay**epoch),
            keras.callbacks.EarlyStopping(
                "val_accuracy", patience=epochs, restore_best_weights=True, mode="max"
            ),
        ],
    )  # fmt: skip
    return float(model.evaluate(*test, batch_size=len(test[1]), verbose=0)[1])


def side_of(parameters: dict[str, Any]) -> int:
    """Pixels of a side: the catalog's `mlp` takes the 8 of `digits`, `layers` asks for 16."""
    return 8 if "hidden" in parameters else 16


def network(parameters: dict[str, Any]) -> Any:
    """What labpool's `mlp` and `layers` build."""
    import keras

    if "hidden" in parameters:
        named = [
            ("Dense", {"units": units, "activation": "relu"}) for units in parameters["hidden"]
        ]
        named.insert(0, ("Flatten", {}))
    else:
        named = [
            (layer["type"], {name: value for name, value in layer.items() if name != "type"})
            for layer in parameters["layers"]
        ]
    layers = [getattr(keras.layers, kind)(**arguments) for kind, arguments in named]
    side = side_of(parameters)
    return keras.Sequential([keras.Input((side, side, 1)), *layers, _logits()])


def _logits() -> Any:
    import keras

    return keras.layers.Dense(10)
