"""Frozen layers and layers taken by name, in the test's own process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labpool.sdk import Unsuitable
from worker.runner import backend
from worker.runner.checkpoints import Checkpoint
from worker.runner.data import Split
from worker.runner.fitting import FitNetwork
from worker.runner.kept import Kept
from worker.runner.layers import Beginning, freeze, layers_of
from worker.runner.network import Network, arrays_of
from worker.runner.reasons import EntryBroken
from worker.runner.resident import Resident
from worker.runner.standing import Standing

ENGINES = pytest.mark.parametrize("engine", [Network, FitNetwork])


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def model_of(seed: int = 0, classes: int = 3, width: int = 6, **names: str) -> Any:
    import keras

    backend.reset(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(width, activation="relu", name=names.get("base", "base")),
            layers.BatchNormalization(name="norm"),
            keras.Sequential(
                [layers.Dense(5), layers.BatchNormalization(), layers.Dropout(0.5)], name="block"
            ),
            layers.Dropout(0.5, name="dropout"),
            layers.Dense(classes, name="head"),
        ]
    )


def batch() -> Resident:
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((24, 4), dtype=np.float32) * 3 + 1
    return Resident.of(Split(x, np.arange(24, dtype=np.int64) % 3), "cpu")


def trained(model: Any, engine: type[Network] = Network) -> Network:
    network = engine(model, "adam", 8, "cpu")
    network.set_learning_rate(0.05)
    network.train_steps(batch(), np.arange(24), 0, 3)
    return network


def held(model: Any, name: str) -> list[bytes]:
    return [array.tobytes() for array in arrays_of(layers_of(model)[name].variables)]


def checkpoint(model: Any) -> Checkpoint:
    network = Network(model, "sgd", 8, "cpu")
    weights = network.weights()
    return Checkpoint(1, 0.0, Standing(1), weights, [], weights, network.layers())


@ENGINES
def test_frozen_layers_keep_every_bit(engine: type[Network]) -> None:
    model = model_of()
    freeze(model, ["base", "norm", "block", "dropout"])
    before = {name: held(model, name) for name in layers_of(model)}
    trained(model, engine)
    after = {name: held(model, name) for name in layers_of(model)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"head"}, "averages and random states stay as well"


@ENGINES
def test_others_go_on_as_ever(engine: type[Network]) -> None:
    model = model_of()
    freeze(model, ["base"])
    before = {name: held(model, name) for name in layers_of(model)}
    trained(model, engine)
    after = {name: held(model, name) for name in layers_of(model)}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"norm", "block", "dropout", "head"}


def test_a_frozen_layer_works_in_training_as_in_evaluation() -> None:
    model = model_of()
    x = batch().x
    free = [np.array(model(x, training=True)) for _ in range(2)]
    assert not np.array_equal(*free), "dropout is at work"
    freeze(model, ["norm", "block", "dropout"])
    assert np.array_equal(np.array(model(x, training=True)), np.array(model(x, training=False)))


def test_only_what_learns_is_counted() -> None:
    model = model_of()
    freeze(model, ["base", "norm", "block"])
    assert Network(model, "adam", 8, "cpu").parameter_count() == 5 * 3 + 3


def test_layers_are_taken_by_name() -> None:
    source, model = model_of(1), model_of(2)
    beginning = Beginning.of(model, {"fresh": ["head"]}, checkpoint(source))
    head = held(model, "head")
    beginning.give_to(model)
    assert (beginning.taken, beginning.fresh) == (("base", "norm", "block"), ("head",))
    assert held(model, "base") == held(source, "base")
    assert held(model, "norm") == held(source, "norm")
    assert held(model, "head") == head != held(source, "head")


def test_a_dropouts_random_state_is_its_own() -> None:
    source, model = model_of(1), model_of(2)
    before = held(model, "dropout")
    Beginning.of(model, {}, checkpoint(source)).give_to(model)
    assert held(model, "dropout") == before != held(source, "dropout")


def test_a_layer_of_another_name_begins_anew() -> None:
    model = model_of(2, base="encoder")
    beginning = Beginning.of(model, {}, checkpoint(model_of(1)))
    assert beginning.fresh == ("encoder",)


def test_an_output_layer_may_differ_and_no_other() -> None:
    source = checkpoint(model_of(1))
    assert Beginning.of(model_of(2, classes=4), {}, source).fresh == ("head",)
    with pytest.raises(Unsuitable, match=r"'base' has the shapes \[4, 6\], \[6\] there.*\[4, 7\]"):
        Beginning.of(model_of(2, width=7), {}, source)
    wider = {"fresh": ["base", "norm", "block"]}
    assert Beginning.of(model_of(2, width=7), wider, source).taken == ("head",)


def test_a_checkpoint_without_names_is_refused() -> None:
    model = model_of()
    old = Checkpoint(1, 0.0, Standing(1), arrays_of(model.variables), [], [])
    with pytest.raises(Unsuitable, match="Run its trial again"):
        Beginning.of(model, {}, old)


def test_a_program_has_no_layers_to_take() -> None:
    arrays = [np.zeros((3, 4)), np.zeros((4, 1))]
    of_a_program = Checkpoint(1, 0.0, Standing(1), arrays, [], arrays, names=("syn0", "syn1"))
    with pytest.raises(Unsuitable, match="trains itself and has no layers"):
        Beginning.of(model_of(), {}, of_a_program)


def test_a_model_that_changes_a_frozen_layer_is_broken() -> None:
    model = model_of()
    freeze(model, ["base"])
    beginning = Beginning.of(model, {"freeze": ["base"]}, None)
    before = beginning.digest_of_frozen(model)
    beginning.check_frozen(model, before)
    layers_of(model)["base"].weights[1].assign(np.ones(6))
    with pytest.raises(EntryBroken, match="frozen"):
        beginning.check_frozen(model, before)


def test_unnamed_layers_have_one_name_however_warm_the_process() -> None:
    import keras

    def build() -> Any:
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(3)])

    kept = Kept()
    for key in ("a", "b", "a"):
        network = kept.network(key, 1, build, lambda model: Network(model, "sgd", 4, "cpu"))
        assert list(network.layers()) == ["dense", "dense_1"]
