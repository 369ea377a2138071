"""A member of a group against the same trial alone: fed the same batches they end alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from labpool.layer_kinds import ACTIVATIONS, Argument
from labpool.layer_kinds import KINDS as LISTED
from tests.support import fusing
from tests.support.fusing import Build
from tests.unit.test_engines import activated, of_kind
from worker.runner import backend
from worker.runner.fused.layers import KINDS
from worker.runner.fused.network import FusedNetwork
from worker.runner.fused.rules import RULES
from worker.runner.network import Network
from worker.runner.objective import Objective

MEMBERS = range(3)
FLOAT64, FLOAT32 = ("float64", 25, 1e-9), ("float32", 3, 1e-5)
"""Steps come four to an epoch: 100 in double precision, 12 in single, and how near."""


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    backend.reset(0)


def dense() -> list[Any]:
    from keras import layers

    return [layers.Flatten(), layers.Dense(12, "relu"), layers.Dropout(0.3), layers.Dense(7)]


def convolution() -> list[Any]:
    from keras import layers

    return [
        layers.Conv2D(4, 3, padding="same", activation="tanh"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.SpatialDropout2D(0.2),
        layers.Conv2D(5, 2, strides=2, use_bias=False),
        layers.GaussianNoise(0.1),
        layers.LayerNormalization(),
    ]


def distance(build: Build, optimizer: str, dtype: str, epochs: int) -> float:
    """Between members and the same trials alone, weights and measures, at the farthest."""
    with fusing.in_float64() if dtype == "float64" else nullcontext():
        x = fusing.noise(dtype=dtype)
        network, states = fusing.begun(build, optimizer, MEMBERS)
        group = fusing.group_of(states, build, optimizer)
        fusing.train_together(group, x, range(epochs))
        measured = group.measure(x)
        found = 0.0
        for member, state in enumerate(states):
            ended = fusing.train_alone(network, state, member, x, range(epochs))
            found = max(found, fusing.farthest(ended, fusing.state_of(group, member)))
            loss, metrics = network.measure(x)
            assert abs(metrics["accuracy"] - measured[member][1]["accuracy"]) < 1e-12
            found = max(found, abs(loss - measured[member][0]))
    return found


def test_it_works() -> None:
    """The members learn, each on its own: their losses fall and are not the same."""
    network, states = fusing.begun(fusing.sequential(dense), "adam", MEMBERS)
    del network
    group = fusing.group_of(states, fusing.sequential(dense), "adam")
    losses = fusing.train_together(group, fusing.noise(), range(30))
    assert (losses[-1].mean(axis=0) < losses[0].mean(axis=0)).all()
    assert len({round(float(loss), 6) for loss in losses[-1].mean(axis=0)}) == 3


@pytest.mark.parametrize("layers", [dense, convolution])
@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize(("dtype", "epochs", "near"), [FLOAT64, FLOAT32])
def test_every_optimizer(
    dtype: str, epochs: int, near: float, optimizer: str, layers: Callable[[], list[Any]]
) -> None:
    assert distance(fusing.sequential(layers), optimizer, dtype, epochs) <= near


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("dtype", "epochs", "near"), [FLOAT64, FLOAT32])
def test_every_layer(dtype: str, epochs: int, near: float, name: str) -> None:
    build = fusing.sequential(lambda: of_kind(name))
    assert distance(build, "momentum", dtype, epochs) <= near


def other_value(argument: Argument) -> Any:
    """A value of an argument that is not its default."""
    values: dict[str, list[Any]] = {
        "whole": [3],
        "number": [0.4, 0.05],
        "flag": [False, True],
        "choice": ["same", "tanh"],
        "pair": [[3, 2]],
    }
    return next(
        value
        for value in values[argument.type]
        if value != argument.default and (not argument.choices or value in argument.choices)
    )


@pytest.mark.parametrize("name", [name for name in LISTED if LISTED[name].arguments])
def test_every_argument_that_a_spec_may_set(name: str) -> None:
    """All at other values than their defaults; a new one is here by being listed."""
    given = {key: other_value(one) for key, one in LISTED[name].arguments.items()}

    def made() -> list[Any]:
        listed = of_kind(name)
        at = next(at for at, layer in enumerate(listed) if type(layer).__name__ == name)
        changed = type(listed[at]).from_config({**listed[at].get_config(), **given})
        return [*listed[:at], changed, *listed[at + 1 :]]

    build = fusing.sequential(made)
    assert distance(build, "momentum", *FLOAT64[:2]) <= FLOAT64[2]


def test_the_cases_hold_what_they_are_called_for() -> None:
    """What can be fused is what is tested here: neither list can grow without the other."""
    assert set(KINDS) == set(LISTED)
    for name in KINDS:
        assert name in {type(layer).__name__ for layer in of_kind(name)}


@pytest.mark.parametrize("name", KINDS)
def test_every_layer_first(name: str) -> None:
    """Where the examples themselves reach it, which all members share when they are measured."""
    from keras import layers

    def first() -> list[Any]:
        listed = of_kind(name)
        kept = [layer for layer in listed if type(layer).__name__ == name]
        return [*([layers.Flatten()] if name == "Dense" else []), *kept]

    assert distance(fusing.sequential(first), "sgd", *FLOAT64[:2]) <= FLOAT64[2]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(activation: str) -> None:
    build = fusing.sequential(lambda: activated(activation))
    assert distance(build, "adam", *FLOAT64[:2]) <= FLOAT64[2]


def test_a_loss_and_metrics_of_the_models_own() -> None:
    """Even those that look at a whole batch see one member's alone."""
    import keras
    import tensorflow as tf

    def loss(y: Any, outputs: Any) -> Any:
        right = tf.gather(outputs, y, axis=1, batch_dims=1)
        return tf.square(right - 1) + tf.square(tf.reduce_mean(outputs))

    def metrics(y: Any, outputs: Any) -> Any:
        return {"accuracy": tf.cast(tf.argmax(outputs, axis=1) == y, tf.float32)}

    own = Objective(loss, metrics)
    x, build = fusing.noise(), fusing.sequential(dense)
    _, states = fusing.begun(build, "sgd", MEMBERS)
    group = FusedNetwork(build(), len(states), "sgd", fusing.BATCH, "cpu", own)
    group.put(dict(enumerate(states)))
    fusing.train_together(group, x, range(3))
    network = Network(build(), "sgd", fusing.BATCH, "cpu", own)
    for member, state in enumerate(states):
        ended = fusing.train_alone(network, state, member, x, range(3))
        assert fusing.farthest(ended, fusing.state_of(group, member)) <= 1e-5
        assert np.isclose(network.measure(x)[0], group.measure(x)[member][0], atol=1e-5)
    assert isinstance(group.model, keras.Sequential)
