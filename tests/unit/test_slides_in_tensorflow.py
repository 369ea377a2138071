"""The slides' networks in plain TensorFlow, against their twins of Keras's layers and steps."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.slides import (
    SHAPE,
    TOLERANCE,
    drawn_examples,
    moved,
    own,
    relu_twin,
    trained,
)
from worker.runner import backend
from worker.runner.network import Network, arrays_of
from worker.runner.objective import CLASSIFICATION
from worker.runner.resident import Resident


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(scope="module")
def examples() -> Resident:
    return drawn_examples()


def agree(network: Network, twin: Network, start: list[Any]) -> None:
    """Both went the same way, and some way."""
    ours, theirs = (arrays_of(one.model.trainable_variables) for one in (network, twin))
    assert moved(start, ours) > 100 * TOLERANCE
    assert moved(theirs, ours) < TOLERANCE


def test_relu100_is_two_dense_layers_of_keras(examples: Resident) -> None:
    model, objective = own("relu100_tf")
    start = arrays_of(model.trainable_variables)
    W, b, *_ = start  # noqa: N806 - the slide's names
    assert W.shape == (784, 100) and -1 <= W.min() < -0.99 and 0.99 < W.max() <= 1
    assert abs(W.mean()) < 0.02 and not b.any()
    twin = relu_twin()
    twin.set_weights(start)

    agree(
        trained(model, objective, 0.02, examples),
        trained(twin, CLASSIFICATION, 0.02, examples),
        start,
    )


def test_a_twin_of_other_weights_does_not_agree(examples: Resident) -> None:
    model, objective = own("relu100_tf")
    start = arrays_of(model.trainable_variables)
    twin = relu_twin()
    twin.set_weights([start[0] + 0.01, *start[1:]])
    with pytest.raises(AssertionError):
        agree(
            trained(model, objective, 0.02, examples),
            trained(twin, CLASSIFICATION, 0.02, examples),
            start,
        )


def test_lenet_is_three_strided_convolutions_and_a_scaled_loss(examples: Resident) -> None:
    model, objective = own("lenet_tf", pkeep=1.0)
    start = arrays_of(model.trainable_variables)
    same: Any = {"padding": "same", "activation": "relu"}
    twin = keras.Sequential(
        [
            keras.Input(SHAPE.shape),
            keras.layers.Conv2D(6, 6, strides=1, **same),
            keras.layers.Conv2D(12, 5, strides=2, **same),
            keras.layers.Conv2D(24, 4, strides=2, **same),
            keras.layers.Flatten(),
            keras.layers.Dense(200, activation="relu"),
            keras.layers.Dense(10),
        ]
    )
    assert [tuple(one.output.shape[1:3]) for one in twin.layers[:3]] == [(28, 28), (14, 14), (7, 7)]
    twin.set_weights(start)

    # A hundredfold loss at a hundredth of the rate is the same descent.
    network = trained(model, objective, 1e-3, examples)
    agree(network, trained(twin, CLASSIFICATION, 1e-1, examples), start)
    loss, metrics = network.measure(examples)
    assert loss == pytest.approx(100 * trained_loss(network, examples), rel=1e-5)
    assert metrics.keys() == {"accuracy"}


def trained_loss(network: Network, examples: Resident) -> float:
    logits = network.model(examples.x, training=False)
    return float(tf.reduce_mean(CLASSIFICATION.loss(examples.y, logits)))


def test_pkeep_is_the_share_that_stays_and_its_draws_are_a_variable() -> None:
    model, _ = own("lenet_tf", pkeep=0.25)
    layer = model.layers[-1]
    x = np.ones((1, 28, 28, 1), np.float32)
    # With the last layer an identity of the first ten neurons, what was left out can be seen.
    layer.B4.assign(np.ones(200, np.float32))
    layer.W4.assign(np.zeros(layer.W4.shape, np.float32))
    layer.W5.assign(np.eye(200, 10, dtype=np.float32))
    layer.B5.assign(np.zeros(10, np.float32))
    assert np.array_equal(np.array(model(x, training=False)), np.ones((1, 10)))

    [state] = [one for one in model.variables if "seed" in one.path]
    before = state.numpy()
    drawn = np.stack([np.array(model(x, training=True))[0] for _ in range(100)])
    kept = float((drawn > 0).mean())
    # Four standard deviations of 1,000 draws.
    assert abs(kept - 0.25) < 4 * math.sqrt(0.25 * 0.75 / drawn.size)
    assert np.allclose(drawn[drawn > 0], 1 / 0.25)
    state.assign(before)
    assert np.array_equal(np.array(model(x, training=True))[0], drawn[0])
