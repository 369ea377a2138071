"""labpool's loop against Keras's `fit`: fed the same batches they end with the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest

from labpool.catalog import ModelEntry
from labpool.layer_kinds import ACTIVATIONS, KINDS, Argument
from labpool.parameters import fill
from labpool.sdk import DataShape
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, loading
from worker.runner.data import Split, permutation
from worker.runner.digests import digest_of_weights
from worker.runner.fitting import FitNetwork
from worker.runner.network import Network
from worker.runner.optimizers import RULES
from worker.runner.resident import Resident

EXAMPLES, BATCH, EPOCHS = 50, 16, 3
PICTURE = (8, 8, 1)
# Those that `fit` can train: no program, and no step of its own.
CLASSIFIERS = [
    name
    for name, entry in CATALOG.models.items()
    if entry.task == "classification" and entry.program is None and name != "gan"
]


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def examples(shape: tuple[int, ...]) -> Resident:
    """Noise of three classes, which is enough to drive the weights apart."""
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((EXAMPLES, *shape), dtype=np.float32)
    return Resident.of(Split(x, draw.integers(0, 3, EXAMPLES)), "cpu")


@pytest.fixture(scope="module")
def training() -> Resident:
    return examples(PICTURE)


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


def sequential(layers: Callable[[], list[Any]]) -> Callable[[], Any]:
    """Builds the network of these layers on pictures, with three classes."""
    import keras

    return lambda: keras.Sequential(
        [keras.Input(PICTURE), *layers(), keras.layers.Flatten(), keras.layers.Dense(3)]
    )


def some_value(argument: Argument) -> Any:
    """Of an argument that a layer must be given."""
    return {"whole": 4, "pair": [2, 2], "number": 0.3, "choice": "gelu"}[argument.type]


def of_kind(name: str) -> list[Any]:
    """The layer of this kind between convolutions, or on what they come to."""
    from keras import layers

    kind = KINDS[name]
    arguments = kind.arguments.items()
    given = {key: some_value(one) if one.required else one.default for key, one in arguments}
    before = [layers.Conv2D(4, 3), *([layers.Flatten()] if kind.takes == "vector" else [])]
    given = {key: value for key, value in given.items() if value is not None}
    keeps_pictures = kind.takes != "vector" and not name.startswith(("Flatten", "Global"))
    after = [layers.Conv2D(3, 1)] if keeps_pictures else []
    return [*before, getattr(layers, name)(**given), *after]


def of_catalog(entry: ModelEntry) -> Any:
    """The catalog's network as it is when nothing is set."""
    code = loading.load(reference_to(entry), entry.path / "model.py", "build")
    shape = PICTURE if entry.input.size is None else (*entry.input.size, 1)
    given = fill(dict(entry.parameters), {}, of=entry.name)[0]
    if entry.input.kind == "vector":
        return code.build(given, DataShape("vector", (prod(shape),), 3))
    return code.build(given, DataShape("image", shape, 3))


def same_bits(build: Callable[[], Any], optimizer: str, x: Resident) -> bool:
    """Whether both engines end with the same weights and the same state of the optimizer."""
    return trained(Network, build, optimizer, x) == trained(FitNetwork, build, optimizer, x)


def trained(engine: type[Network], build: Callable[[], Any], optimizer: str, x: Resident) -> str:
    """The digest of what `trained_weights` gives."""
    return digest_of_weights(trained_weights(engine, build, optimizer, x))


def trained_weights(
    engine: type[Network],
    build: Callable[[], Any],
    optimizer: str,
    x: Resident,
    epochs: int = EPOCHS,
) -> list[Any]:
    """Weights and the optimizer's state, after epochs of four steps."""
    backend.reset(4)
    model = build()
    network = engine(model, optimizer, BATCH, "cpu")
    steps = -(-EXAMPLES // BATCH)
    for epoch in range(epochs):
        network.set_learning_rate(0.01 * 0.9**epoch)
        order = permutation(EXAMPLES, 4, epoch)
        if network.whole_epochs:
            network.train_steps(x, order, 0, steps)
        else:
            network.train_steps(x, order, 0, 1)
            network.train_steps(x, order, 1, steps - 1)
    return [*network.weights(), *network.optimizer_state()]


@pytest.mark.parametrize("layers", [dense, convolution])
@pytest.mark.parametrize("optimizer", RULES)
def test_every_optimizer(
    optimizer: str, layers: Callable[[], list[Any]], training: Resident
) -> None:
    assert same_bits(sequential(layers), optimizer, training)


@pytest.mark.parametrize("name", KINDS)
def test_every_layer(name: str, training: Resident) -> None:
    assert same_bits(sequential(lambda: of_kind(name)), "adam", training)


def activated(activation: str) -> list[Any]:
    from keras.layers import Conv2D, Dense, Flatten

    return [Conv2D(4, 3, activation=activation), Flatten(), Dense(8, activation=activation)]


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "silu"])
def test_every_activation(activation: str, training: Resident) -> None:
    assert same_bits(sequential(lambda: activated(activation)), "adam", training)


def test_silu_in_float64_after_100_steps(training: Resident) -> None:
    """In float32 TensorFlow joins x and its sigmoid into one kernel in one of the two graphs."""
    import keras
    import tensorflow as tf

    keras.config.set_floatx("float64")
    try:
        doubled = replace(training, x=tf.cast(training.x, tf.float64))
        build = sequential(lambda: activated("silu"))
        ours, theirs = (
            trained_weights(engine, build, "adam", doubled, epochs=25)
            for engine in (Network, FitNetwork)
        )
    finally:
        keras.config.set_floatx("float32")
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == np.float64 or one.dtype.kind in "iu"
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_of_the_catalog(name: str) -> None:
    entry = CATALOG.models[name]
    sides = entry.input.size or PICTURE[:2]
    shape = (prod(sides),) if entry.input.kind == "vector" else (*sides, 1)
    assert same_bits(lambda: of_catalog(entry), "adam", examples(shape))
