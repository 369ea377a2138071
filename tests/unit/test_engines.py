"""labpool's loop against Keras's `fit`: fed the same batches they end with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from worker.runner import backend
from worker.runner.data import Split, permutation
from worker.runner.digests import digest_of_weights
from worker.runner.fitting import FitNetwork
from worker.runner.network import Network
from worker.runner.optimizers import RULES
from worker.runner.resident import Resident

EXAMPLES, BATCH, EPOCHS = 50, 16, 3


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(scope="module")
def training() -> Resident:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((EXAMPLES, 8, 8, 1), dtype=np.float32)
    return Resident.of(Split(x, draw.integers(0, 3, EXAMPLES)), "cpu")


def dense() -> list[Any]:
    from keras import layers

    return [layers.Flatten(), layers.Dense(12, "relu"), layers.Dropout(0.3)]


def convolution() -> list[Any]:
    from keras import layers

    return [
        layers.Conv2D(4, 3, activation="tanh"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Conv2D(4, 2, padding="same", kernel_regularizer="l2"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
    ]


def trained(
    engine: type[Network], layers: Callable[[], list[Any]], optimizer: str, x: Resident
) -> str:
    import keras

    backend.reset(4)
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers(), keras.layers.Dense(3)])
    network = engine(model, optimizer, BATCH, "cpu")
    steps = -(-EXAMPLES // BATCH)
    for epoch in range(EPOCHS):
        network.set_learning_rate(0.01 * 0.9**epoch)
        order = permutation(EXAMPLES, 4, epoch)
        if network.whole_epochs:
            network.train_steps(x, order, 0, steps)
        else:
            network.train_steps(x, order, 0, 1)
            network.train_steps(x, order, 1, steps - 1)
    return digest_of_weights([*network.weights(), *network.optimizer_state()])


@pytest.mark.parametrize("optimizer", RULES)
def test_every_optimizer(optimizer: str, training: Resident) -> None:
    assert trained(Network, dense, optimizer, training) == trained(
        FitNetwork, dense, optimizer, training
    )


def test_convolutions_and_what_else_layers_do(training: Resident) -> None:
    assert trained(Network, convolution, "adam", training) == trained(
        FitNetwork, convolution, "adam", training
    )
