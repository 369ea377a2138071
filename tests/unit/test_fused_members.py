"""Members come into a group, leave it, diverge and end: nobody else's bits change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import fusing
from tests.support.fusing import Build
from tests.unit.test_engines import of_kind
from worker.runner import backend, checkpoints
from worker.runner.fused.layers import KINDS
from worker.runner.fused.network import FusedNetwork, State
from worker.runner.fused.rules import RULES
from worker.runner.reasons import CheckpointBroken
from worker.runner.standing import Standing

MEMBERS = range(4)


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    backend.reset(0)


def mixed() -> list[Any]:
    """Everything that has a state: weights, averages, draws."""
    from keras import layers

    return [
        layers.Conv2D(4, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(8, "tanh"),
    ]


MIXED: Build = fusing.sequential(mixed)


def begun(optimizer: str, build: Build = MIXED) -> tuple[FusedNetwork, list[State]]:
    _, states = fusing.begun(build, optimizer, MEMBERS)
    return fusing.group_of(states, build, optimizer), states


def all_of(group: FusedNetwork) -> list[State]:
    return [fusing.state_of(group, member) for member in range(group.members)]


def test_it_works() -> None:
    """What is put into a group comes out of it, bit for bit."""
    group, states = begun("adam")
    for member, state in enumerate(states):
        assert fusing.same_bits(state, fusing.state_of(group, member))


@pytest.mark.parametrize("optimizer", RULES)
def test_resumed_equals_uninterrupted(optimizer: str) -> None:
    x = fusing.noise()
    group, _ = begun(optimizer)
    fusing.train_together(group, x, range(2))
    kept = all_of(group)
    fusing.train_together(group, x, range(2, 5))
    uninterrupted = all_of(group)
    again = fusing.group_of(kept, MIXED, optimizer)
    fusing.train_together(again, x, range(2, 5))
    for one, other in zip(uninterrupted, all_of(again), strict=True):
        assert fusing.same_bits(one, other)


def test_looking_between_epochs_and_chunks_change_no_bit() -> None:
    x = fusing.noise()
    ends = []
    for looks in (False, True):
        group, _ = begun("adam")
        for epoch in range(3):
            group.set_learning_rates(fusing.rates(epoch, MEMBERS))
            order = fusing.orders(epoch, MEMBERS)
            if looks:
                group.train_steps(x, order, 0, 1)
                group.train_steps(x, order, 1, fusing.STEPS - 1)
                group.measure(x)
                all_of(group)
            else:
                group.train_steps(x, order, 0, fusing.STEPS)
        ends.append(all_of(group))
    assert all(fusing.same_bits(one, other) for one, other in zip(*ends, strict=True))


@pytest.mark.parametrize("optimizer", RULES)
def test_a_member_goes_on_alone_and_comes_back(optimizer: str, tmp_path: Path) -> None:
    """Through a checkpoint of the unfused loop's own form, in both directions."""
    x = fusing.noise()
    group, states = begun(optimizer)
    network, _ = fusing.begun(MIXED, optimizer, [0])
    fusing.train_together(group, x, range(2))
    weights, state = fusing.state_of(group, 1)
    written = checkpoints.save(
        tmp_path, checkpoints.Checkpoint(2, 0.0, Standing(), weights, state, [])
    )
    read = checkpoints.load(tmp_path / written.name, written.sha256)
    went_on = fusing.train_alone(network, (read.model, read.optimizer), 1, x, [2])
    fusing.train_together(group, x, [2])
    assert fusing.farthest(went_on, fusing.state_of(group, 1)) <= 1e-4
    before = all_of(group)
    group.put({1: went_on})
    assert fusing.same_bits(went_on, fusing.state_of(group, 1))
    for member in (0, 2, 3):
        assert fusing.same_bits(before[member], fusing.state_of(group, member))
    del states


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_is_no_number_stays_where_it_is(optimizer: str, name: str) -> None:
    """A member that diverges leaves its neighbours' bits alone, at once and when it is cleared."""
    x = fusing.noise()
    build = fusing.sequential(lambda: of_kind(name))
    group, states = begun(optimizer, build)
    fusing.train_together(group, x, range(2))
    healthy = all_of(group)
    broken = [np.full_like(a, np.nan) if a.dtype.kind == "f" else a for a in states[1][0]]
    group.put({**dict(enumerate(states)), 1: (broken, states[1][1])})
    losses = fusing.train_together(group, x, [0])[0]
    assert np.isnan(losses[:, 1]).all()
    assert np.isfinite(np.delete(losses, 1, axis=1)).all()
    group.clear([member != 1 for member in MEMBERS])
    losses = fusing.train_together(group, x, [1])[0]
    assert np.isfinite(losses).all()
    for member in (0, 2, 3):
        assert fusing.same_bits(healthy[member], fusing.state_of(group, member))


@pytest.mark.parametrize("optimizer", RULES)
def test_a_smaller_group_goes_on(optimizer: str) -> None:
    """When half have gone the rest go on in a smaller program, to the same end."""
    x = fusing.noise()
    group, _ = begun(optimizer)
    fusing.train_together(group, x, range(2))
    smaller = group.only([3, 1])
    assert fusing.same_bits(fusing.state_of(smaller, 0), fusing.state_of(group, 3))
    fusing.train_together(group, x, range(2, 4))
    fusing.train_together(smaller, x, range(2, 4), members=[3, 1])
    for here, there in ((0, 3), (1, 1)):
        gap = fusing.farthest(fusing.state_of(smaller, here), fusing.state_of(group, there))
        assert gap <= 1e-4


def test_only_members_of_one_step_fit_together() -> None:
    x = fusing.noise()
    group, states = begun("adam")
    fusing.train_together(group, x, [0])
    with pytest.raises(CheckpointBroken, match="made \\[0, 4\\] steps"):
        group.put({2: states[2]})
    group.put(dict(enumerate(states)))


def test_what_does_not_fit_is_refused() -> None:
    group, states = begun("sgd")
    weights, state = states[0]
    with pytest.raises(CheckpointBroken, match="the model has"):
        group.put({0: (weights[:-1], state)})
    with pytest.raises(CheckpointBroken, match="the optimizer has"):
        group.put({0: (weights, [*state, np.zeros(3)])})
    with pytest.raises(CheckpointBroken, match="the model has"):
        group.put({0: ([weights[0].astype(np.float64), *weights[1:]], state)})
