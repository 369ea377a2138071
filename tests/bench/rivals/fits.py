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
def digits() -> tuple[Split, Split, Split]:
    """Training, validation and test images [n, 8, 8, 1] from 0 to 1: labpool's own splits."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32)
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
    (x, y), _, _ = digits()
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.Flatten(), _logits()])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:64], y[:64], verbose=0)


def fit(trial: dict[str, Any]) -> float:
    """Train a trial; the accuracy of its best epoch's weights on the test split."""
    import keras

    prepare()
    training, validation, test = digits()
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


def network(parameters: dict[str, Any]) -> Any:
    """What labpool's `mlp` and `small_cnn` build."""
    import keras
    from keras import layers

    inner: list[Any] = []
    for filters in parameters.get("filters", ()):
        inner.append(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        inner.append(layers.MaxPooling2D())
    inner.append(layers.Flatten())
    hidden = parameters.get("hidden") or (parameters["dense"],)
    inner += [layers.Dense(units, activation="relu") for units in hidden]
    return keras.Sequential([keras.Input((8, 8, 1)), *inner, _logits()])


def _logits() -> Any:
    import keras

    return keras.layers.Dense(10)
