"""What a runner keeps between trials, and what it refuses because it could not be kept."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labpool.sdk import DataShape
from worker.runner import backend, kept
from worker.runner.data import Split, Splits
from worker.runner.digests import digest_of_weights
from worker.runner.kept import Kept, key_of
from worker.runner.network import Network, arrays_of
from worker.runner.optimizers import RULES
from worker.runner.reasons import EntryBroken
from worker.runner.resident import Resident, ResidentSplits

SHAPE = DataShape("vector", (4,), 3)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def batch(count: int = 8) -> Resident:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((count, 4), dtype=np.float32)
    return Resident.of(Split(x, np.arange(count, dtype=np.int64) % 3), "cpu")


def sequential(*layers: Any) -> Any:
    import keras

    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(3)])


def dropped() -> Any:
    import keras

    return sequential(keras.layers.Dense(5), keras.layers.Dropout(0.5))


def network_of(
    kept: Kept, seed: int, build: Callable[[], Any], key: str = "key", optimizer: str = "adam"
) -> Network:
    network = kept.network(key, seed, build, lambda model: Network(model, optimizer, 4, "cpu"))
    network.set_learning_rate(0.01)
    return network


def trained(network: Network) -> str:
    network.train_steps(batch(), np.arange(8), 0, 2)
    return digest_of_weights([*network.weights(), *network.optimizer_state()])


@pytest.mark.parametrize("optimizer", RULES)
def test_every_optimizer_begins_again(optimizer: str) -> None:
    def result(kept: Kept, seed: int) -> str:
        return trained(network_of(kept, seed, dropped, optimizer=optimizer))

    warm = Kept()
    first = result(warm, 1)
    assert result(warm, 2) == result(Kept(), 2)
    assert result(warm, 1) == first


def test_the_second_trial_of_an_architecture_is_not_traced_again() -> None:
    traces = []

    def watched(x: Any) -> Any:
        traces.append(x)
        return x

    def build() -> Any:
        import keras

        return sequential(keras.layers.Lambda(watched))

    warm = Kept()
    trained(network_of(warm, 1, build))
    before = len(traces)
    trained(network_of(warm, 2, build))
    # Building the model to draw its weights calls the layer once; training it does not.
    assert before >= 3 and len(traces) == before + 1


def test_a_failed_trial_leaves_nothing_in_a_kept_network() -> None:
    warm = Kept()
    network = network_of(warm, 1, dropped)
    network.set_learning_rate(float("nan"))
    trained(network)
    assert not np.isfinite(network.weights()[0]).all()
    assert trained(network_of(warm, 2, dropped)) == trained(network_of(Kept(), 2, dropped))


def test_a_model_that_draws_its_weights_elsewhere_is_not_kept() -> None:
    import tensorflow as tf

    def build() -> Any:
        model = sequential()
        model.build((None, 4))
        # Its generator goes on from call to call, and only a reset starts it anew.
        model.layers[0].kernel.assign(tf.random.normal((4, 3)))
        return model

    warm = Kept()
    first = trained(network_of(warm, 1, build))
    assert len(warm) == 0
    assert trained(network_of(warm, 1, build)) == first


def test_the_least_lately_used_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_NETWORKS", 2)
    warm = Kept()
    one, _ = (network_of(warm, 1, dropped, key) for key in "ab")
    assert network_of(warm, 1, dropped, "a") is one
    network_of(warm, 1, dropped, "c")
    assert len(warm) == 2
    assert network_of(warm, 1, dropped, "a") is one
    warm.forget()
    assert len(warm) == 0


def test_data_are_made_once_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Split(np.zeros((2, 4), np.float32), np.zeros(2, np.int64))
    made = []

    def make() -> ResidentSplits:
        made.append(1)
        return ResidentSplits.of(Splits(part, part, part), SHAPE, "cpu")

    warm = Kept()
    assert warm.splits("a", make) is warm.splits("a", make)
    assert warm.splits("a", make).bytes == 3 * 2 * (4 * 4 + 8)
    monkeypatch.setattr(kept, "MOST_DATA_BYTES", 150)
    warm.splits("b", make)
    assert len(made) == 2
    warm.splits("a", make)
    assert len(made) == 3, "only one of them fits"


def test_keys_tell_values_apart_and_not_their_order() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of({"a": 1}) != key_of({"a": 1.0}) and key_of(True) != key_of(1)


def _global_random() -> Any:
    import keras

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x + keras.random.normal((4,))

    return Noise()


def _stateful_random() -> Any:
    import keras
    import tensorflow as tf

    class Noise(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return x + tf.random.normal((4,))

    return Noise()


def _array_of_its_own() -> Any:
    import keras
    import tensorflow as tf

    class Projection(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            # Larger than what TensorFlow writes into the trace itself.
            self.directions = tf.ones((4, 400))

        def call(self, x: Any) -> Any:
            return keras.ops.matmul(x, self.directions)

    return Projection()


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (_global_random, "global random numbers"),
        (_stateful_random, "RandomStandardNormal"),
        (_array_of_its_own, "add_weight"),
    ],
)
def test_what_no_checkpoint_holds_is_refused(layer: Callable[[], Any], says: str) -> None:
    network = network_of(Kept(), 1, lambda: sequential(layer()))
    with pytest.raises(EntryBroken, match=says):
        network.train_steps(batch(), np.arange(8), 0, 1)


def test_a_model_of_another_form_is_not_begun_again() -> None:
    from worker.runner.reasons import CheckpointBroken

    network = network_of(Kept(), 1, dropped)
    with pytest.raises(CheckpointBroken):
        network.begin_again(sequential())
    assert arrays_of(network.model.variables)


@pytest.mark.parametrize("generator", ["numpy", "random"])
def test_a_constant_that_a_build_draws_is_never_another_trials(generator: str) -> None:
    def masked() -> Any:
        import keras

        if generator == "numpy":
            mask = (np.random.rand(5) > 0.5).astype(np.float32)
        else:
            mask = np.array([random.random() for _ in range(5)], np.float32)

        class Masked(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                return x * mask

        return sequential(keras.layers.Dense(5), Masked())

    warm = Kept()
    first, second = (trained(network_of(warm, seed, masked)) for seed in (1, 2))
    assert len(warm) == 0
    assert second == trained(network_of(Kept(), 2, masked)) != first


def test_what_is_kept_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    warm = Kept()
    one = network_of(warm, 1, dropped, "a").bytes
    # Adam has two numbers for each weight, and those once more as they were before training.
    weights = 4 * 5 + 5 + 5 * 3 + 3
    assert one > 4 * 5 * weights
    monkeypatch.setattr(kept, "MOST_NETWORK_BYTES", 2 * one)
    for key in "bcd":
        network_of(warm, 1, dropped, key)
    assert len(warm) == 2
    monkeypatch.setattr(kept, "MOST_NETWORK_BYTES", 1)
    network_of(warm, 1, dropped, "e")
    assert len(warm) == 1, "what is in use stays, however large it is"
