"""Members that differ in what they drop at random, in their noise, and in how they begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import pytest

from labpool.sdk import Unsuitable
from tests.support import fusing
from tests.support.fusing import Build
from worker.runner import backend
from worker.runner.fused.fitness import difference, why_not
from worker.runner.fused.layers import KINDS
from worker.runner.fused.network import FusedNetwork
from worker.runner.network import Network

OWN = [name for name, kind in KINDS.items() if kind.own_names]
NUMBERS = (0.1, 0.3, 0.65)
STARTS = ("glorot_uniform", "he_normal", "lecun_uniform")
FLOAT64, FLOAT32 = ("float64", 25, 1e-9), ("float32", 3, 1e-5)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    backend.reset(0)


def test_every_kind_says_which_attributes_its_own_numbers_come_from() -> None:
    from keras import layers

    assert OWN == ["Dropout", "SpatialDropout2D", "GaussianNoise"]
    for name in OWN:
        layer = getattr(layers, name)(0.25)
        assert KINDS[name].own(layer)[0] == 0.25 == getattr(layer, *KINDS[name].own_names)


def on_pictures(name: str, number: float, start: str = "glorot_uniform") -> Build:
    """The layer between convolutions, and where it can be on what they come to."""
    from keras import layers

    def listed() -> list[Any]:
        kind = getattr(layers, name)
        also = [] if name == "SpatialDropout2D" else [layers.Dense(6, "tanh"), kind(number)]
        return [
            kind(number),
            layers.Conv2D(4, 3, kernel_initializer=start),
            kind(number),
            layers.Conv2D(3, 2, activation="tanh", bias_initializer=start),
            layers.Flatten(),
            *also,
        ]

    # A bias has one side, which these initialisers take too.
    return fusing.sequential(listed)


def models_of(builds: Sequence[Build]) -> dict[int, Any]:
    """As a runner builds them: each by itself, so that layers have the names of a fresh process."""
    models = {}
    for number, build in enumerate(builds):
        backend.reset(0)
        models[number] = build()
    return models


def members_of(builds: Sequence[Build], optimizer: str) -> tuple[FusedNetwork, list[Any]]:
    """A group with a member for each, and each one's own network with what it begins with."""
    alone = []
    for seed, build in enumerate(builds):
        backend.reset(seed)
        network = Network(build(), optimizer, fusing.BATCH, "cpu")
        alone.append((network, (network.weights(), network.optimizer_state())))
    backend.reset(0)
    group = fusing.group_of([state for _, state in alone], builds[0], optimizer)
    group.take_settings(models_of(builds))
    return group, alone


def distance(builds: Sequence[Build], optimizer: str, dtype: str, epochs: int) -> float:
    """Between members and the same trials alone, at the farthest."""
    with fusing.in_float64() if dtype == "float64" else nullcontext():
        x = fusing.noise(dtype=dtype)
        group, alone = members_of(builds, optimizer)
        fusing.train_together(group, x, range(epochs))
        ends = [
            fusing.train_alone(network, state, member, x, range(epochs))
            for member, (network, state) in enumerate(alone)
        ]
        return max(
            fusing.farthest(end, fusing.state_of(group, member)) for member, end in enumerate(ends)
        )


def test_it_works() -> None:
    builds = [on_pictures("Dropout", number) for number in NUMBERS]
    assert distance(builds, "sgd", *FLOAT32[:2]) <= FLOAT32[2]


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize(("dtype", "epochs", "near"), [FLOAT64, FLOAT32])
def test_every_layer_with_numbers_of_its_own(
    dtype: str, epochs: int, near: float, optimizer: str, name: str
) -> None:
    builds = [on_pictures(name, number) for number in NUMBERS]
    assert distance(builds, optimizer, dtype, epochs) <= near


@pytest.mark.parametrize(("dtype", "epochs", "near"), [FLOAT64, FLOAT32])
def test_how_weights_are_drawn(dtype: str, epochs: int, near: float) -> None:
    builds = [
        on_pictures("Dropout", number, start) for number, start in zip(NUMBERS, STARTS, strict=True)
    ]
    assert distance(builds, "momentum", dtype, epochs) <= near


def test_a_members_bits_do_not_depend_on_its_neighbours_rates() -> None:
    x, ends = fusing.noise(), []
    for others in (0.1, 0.6):
        builds = [on_pictures("Dropout", number) for number in (others, 0.3, others)]
        group, _ = members_of(builds, "adam")
        fusing.train_together(group, x, range(2))
        ends.append([fusing.state_of(group, member) for member in range(3)])
    assert fusing.same_bits(ends[0][1], ends[1][1])
    assert not fusing.same_bits(ends[0][0], ends[1][0])


def test_a_group_takes_other_rates_without_being_traced_anew() -> None:
    x = fusing.noise()
    builds = [on_pictures("GaussianNoise", number) for number in NUMBERS]
    fresh, alone = members_of(builds, "sgd")
    used, _ = members_of(list(reversed(builds)), "sgd")
    fusing.train_together(used, x, [0])
    traced = used._program.train.experimental_get_tracing_count()
    used.take_settings(models_of(builds))
    used.put({member: state for member, (_, state) in enumerate(alone)})
    for group in (used, fresh):
        fusing.train_together(group, x, range(2))
    assert used._program.train.experimental_get_tracing_count() == traced
    for member in range(3):
        assert fusing.same_bits(fusing.state_of(used, member), fusing.state_of(fresh, member))


def test_a_smaller_group_keeps_them() -> None:
    x = fusing.noise()
    group, _ = members_of([on_pictures("Dropout", number) for number in NUMBERS], "sgd")
    smaller = group.only([2, 1])
    fusing.train_together(group, x, [0])
    fusing.train_together(smaller, x, [0], members=[2, 1])
    for here, there in ((0, 2), (1, 1)):
        gap = fusing.farthest(fusing.state_of(smaller, here), fusing.state_of(group, there))
        assert gap <= 1e-5


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda k: [k.Flatten(), k.Dropout(0.0), k.Dense(4)], "'dropout'"),
        (lambda k: [k.Flatten(), k.Dropout(0.2), k.Dense(4, "relu")], "'dense'"),
        (lambda k: [k.Flatten(), k.Dropout(0.2), k.Dense(5)], "'dense'"),
        (lambda k: [k.Flatten(), k.GaussianNoise(0.2), k.Dense(4)], "'dropout'"),
        (lambda k: [k.Flatten(), k.Dense(4)], "same layers"),
    ],
)
def test_models_that_differ_in_more(other: Any, said: str) -> None:
    from keras import layers

    def made(listed: Any) -> Any:
        backend.reset(0)
        return fusing.sequential(lambda: listed(layers))()

    one = made(lambda k: [k.Flatten(), k.Dropout(0.2), k.Dense(4)])
    alike = made(lambda k: [k.Flatten(), k.Dropout(0.5), k.Dense(4, kernel_initializer="zeros")])
    assert difference(one, alike) is None
    found = difference(one, made(other))
    assert found is not None and said in found
    with pytest.raises(Unsuitable):
        FusedNetwork(one, 2, "sgd", 16, "cpu").take_settings({1: made(other)})


def test_what_drops_everything_is_trained_alone() -> None:
    from keras import layers

    found = why_not(fusing.sequential(lambda: [layers.Dropout(1.0)])(), "sgd")
    assert found is not None and "drops everything" in found
