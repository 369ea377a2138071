"""Members of a group and the same trials alone, fed the same batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from worker.runner import backend
from worker.runner.data import Split, permutation
from worker.runner.digests import digest_of_weights
from worker.runner.fused.network import FusedNetwork, State
from worker.runner.network import Network
from worker.runner.resident import Resident

EXAMPLES, BATCH, CLASSES = 50, 16, 3
STEPS = -(-EXAMPLES // BATCH)
PICTURE = (8, 8, 2)
RATES = (0.01, 0.001, 0.003)
DECAYS = (1.0, 0.9, 0.7)
Build = Callable[[], Any]


def noise(shape: tuple[int, ...] = PICTURE, dtype: str = "float32") -> Resident:
    """Examples of three classes, which is enough to drive the weights apart."""
    import tensorflow as tf

    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.standard_normal((EXAMPLES, *shape), dtype=np.float32)
    made = Resident.of(Split(x, draw.integers(0, CLASSES, EXAMPLES)), "cpu")
    return replace(made, x=tf.cast(made.x, dtype))


def sequential(layers: Callable[[], list[Any]], shape: tuple[int, ...] = PICTURE) -> Build:
    """Builds the network of these layers, with three classes."""
    import keras

    return lambda: keras.Sequential(
        [keras.Input(shape), *layers(), keras.layers.Flatten(), keras.layers.Dense(CLASSES)]
    )


@contextmanager
def in_float64() -> Iterator[None]:
    """Networks built inside compute in double precision."""
    import keras

    keras.config.set_floatx("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")


def rates(epoch: int, members: Sequence[int]) -> list[float]:
    """A rate and a decay of its own for each member."""
    return [RATES[member % 3] * DECAYS[member % 3] ** epoch for member in members]


def orders(epoch: int, members: Sequence[int]) -> Any:
    """An order of its own for each member, [members, examples]."""
    return np.stack([permutation(EXAMPLES, member, epoch) for member in members])


def begun(build: Build, optimizer: str, members: Sequence[int]) -> tuple[Network, list[State]]:
    """A network that trains alone, and what each of the members begins with by its seed."""
    states = []
    for member in members:
        backend.reset(member)
        network = Network(build(), optimizer, BATCH, "cpu")
        states.append((network.weights(), network.optimizer_state()))
    return network, states


def group_of(states: Sequence[State], build: Build, optimizer: str) -> FusedNetwork:
    """A group whose members go on from these."""
    group = FusedNetwork(build(), len(states), optimizer, BATCH, "cpu")
    group.put(dict(enumerate(states)))
    return group


def train_alone(
    network: Network, state: State, member: int, x: Resident, epochs: Sequence[int]
) -> State:
    """Where a member stands after these epochs on its own, from `state` on."""
    network.set_weights(state[0])
    network.set_optimizer_state(state[1])
    for epoch in epochs:
        network.set_learning_rate(rates(epoch, [member])[0])
        network.train_steps(x, orders(epoch, [member])[0], 0, STEPS)
    return network.weights(), network.optimizer_state()


def train_together(
    group: FusedNetwork, x: Resident, epochs: Sequence[int], members: Sequence[int] | None = None
) -> list[Any]:
    """These epochs of a group whose members have these rates and orders; losses of each epoch."""
    whose = list(range(group.members)) if members is None else members
    losses = []
    for epoch in epochs:
        group.set_learning_rates(rates(epoch, whose))
        losses.append(group.train_steps(x, orders(epoch, whose), 0, STEPS)[0])
    return losses


def state_of(group: FusedNetwork, member: int) -> State:
    """All that a checkpoint of this member has of its network."""
    return group.weights(member), group.optimizer_state(member)


def apart(network: Network, states: Sequence[State], x: Resident, epochs: Sequence[int]) -> Any:
    """Where all members stand after these epochs, each on its own."""
    return [train_alone(network, state, member, x, epochs) for member, state in enumerate(states)]


def farthest(one: State, other: State) -> float:
    """The largest difference between two states, whose arrays must have the same forms."""
    ones, others = [*one[0], *one[1]], [*other[0], *other[1]]
    assert [(a.shape, a.dtype) for a in ones] == [(a.shape, a.dtype) for a in others]
    return max(
        float(np.max(np.abs(a - b.astype(a.dtype)))) for a, b in zip(ones, others, strict=True)
    )


def same_bits(one: State, other: State) -> bool:
    """Whether two states are equal bit for bit."""
    return digest_of_weights([*one[0], *one[1]]) == digest_of_weights([*other[0], *other[1]])
