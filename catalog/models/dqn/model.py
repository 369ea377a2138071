"""Deep Q-learning on a pole balanced on a cart, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Epoch, Exam, Examples, State

ENVIRONMENT: Final = "CartPole-v1"
OBSERVED: Final = 4  # place and speed of the cart, angle and turning speed of the pole
ACTIONS: Final = 2  # push to the left, push to the right
SCALE: Final = np.array([1 / 2.4, 1 / 2, 1 / 0.21, 1 / 2], np.float32)
"""Makes the four of one size: an episode is over at 2.4 to the side or an angle of 0.21."""
EPISODES: Final = 20
"""Episodes of a judging, each from a start of its own."""
STARTS: Final[Mapping[Literal["validation", "test"], int]] = {"validation": 10_000, "test": 20_000}
"""Seed of the first start. Everybody is judged from the same ones; training has others."""
STEPS_BETWEEN_CANCEL_POINTS: Final = 100
# The usual constants of the Adam rule.
KEEP_FIRST, KEEP_SECOND, TINY = 0.9, 0.999, 1e-8

Array = NDArray[np.float32]
Layers = list[tuple[Array, Array]]


def begin(parameters: Mapping[str, Any], seed: int, data: Examples | None) -> State:
    """An empty memory, and a network whose weights lie one after another in `online` [weights]."""
    del data  # the world is met later
    random = np.random.default_rng(seed)
    parts = []
    for rows, columns in _shapes(parameters):
        bound = np.sqrt(6 / rows)  # as deep as ReLU wants it: half the numbers become nought
        parts += [random.uniform(-bound, bound, rows * columns), np.zeros(columns)]
    online = np.concatenate(parts).astype(np.float32)
    places = parameters["memory"]
    return {
        "online": online,
        "target": online.copy(),
        "first_moment": np.zeros_like(online),
        "second_moment": np.zeros_like(online),
        "updates": np.zeros((), np.int64),
        "seen": np.zeros((), np.int64),
        "observations": np.zeros((places, OBSERVED), np.float32),
        "next_observations": np.zeros((places, OBSERVED), np.float32),
        "actions": np.zeros(places, np.int64),
        "rewards": np.zeros(places, np.float32),
        "falls": np.zeros(places, np.bool_),
    }


def advance(
    parameters: Mapping[str, Any], state: State, epoch: Epoch, data: Examples | None
) -> tuple[State, Mapping[str, float]]:
    """`steps_per_epoch` steps from a fresh start, learning after each from what is remembered."""
    del data  # there is none, only a world
    random = epoch.random
    world = gymnasium.make(ENVIRONMENT, disable_env_checker=True)
    observation, _ = world.reset(seed=int(random.integers(2**31)))
    layers = _layers(state["online"], parameters)
    returns, losses, total = [], [], 0.0
    steps = parameters["steps_per_epoch"]
    for step in range(steps):
        if step % STEPS_BETWEEN_CANCEL_POINTS == 0:
            epoch.cancel_point(step / steps)
        if random.random() < _share_of_chance(parameters, int(state["seen"])):
            action = int(random.integers(ACTIONS))
        else:
            action = int(_values(layers, observation[None])[-1].argmax())
        following, reward, fell, timed_out, _ = world.step(action)
        total += float(reward)
        _remember(state, observation, action, float(reward), following, fell)
        observation = following
        if fell or timed_out:
            returns.append(total)
            observation, _ = world.reset()
            total = 0.0
        if int(state["seen"]) >= parameters["learn_after"]:
            losses.append(_learn(parameters, state, epoch, random))
    world.close()
    # An episode that outlasts the epoch is cut off, and counts where there is no whole one.
    return state, {
        "return": float(np.mean(returns or [total])),
        "loss": float(np.mean(losses or [0.0])),
        "random_share": _share_of_chance(parameters, int(state["seen"])),
    }


def evaluate(
    parameters: Mapping[str, Any], state: State, exam: Exam, data: Examples | None
) -> Mapping[str, float]:
    """Mean sum of rewards of episodes in which the network decides alone."""
    del data  # there is none, only worlds
    worlds = [gymnasium.make(ENVIRONMENT, disable_env_checker=True) for _ in range(EPISODES)]
    first = STARTS[exam.split]
    now = np.stack([world.reset(seed=first + n)[0] for n, world in enumerate(worlds)])
    layers = _layers(state["online"], parameters)
    returns, running = np.zeros(EPISODES), list(range(EPISODES))
    while running:
        exam.cancel_point(1 - len(running) / EPISODES)
        actions = _values(layers, now[running])[-1].argmax(axis=1)
        for n, action in zip(list(running), actions.tolist(), strict=True):
            now[n], reward, fell, timed_out, _ = worlds[n].step(action)
            returns[n] += float(reward)
            if fell or timed_out:
                running.remove(n)
    for world in worlds:
        world.close()
    return {"return": float(returns.mean()), "worst_return": float(returns.min())}


def predict(parameters: Mapping[str, Any], state: State, x: Array) -> Array:
    """Observations [n, 4] -> the rewards expected of pushing to the left and right [n, 2]."""
    return _values(_layers(state["online"], parameters), x)[-1]


def _learn(
    parameters: Mapping[str, Any], state: State, epoch: Epoch, random: np.random.Generator
) -> float:
    """One step of Adam on a batch from the memory; the batch's mean loss."""
    stored = min(int(state["seen"]), parameters["memory"])
    count = epoch.batch_size or 1
    chosen = random.integers(stored, size=count)
    layers = _layers(state["online"], parameters)
    rows = np.arange(count)
    following = state["next_observations"][chosen]
    # The network that learns picks the action, the older one says what it is worth: one alone
    # believes its own luckiest errors.
    judge = _values(_layers(state["target"], parameters), following)[-1]
    picker = _values(layers, following)[-1] if parameters["double"] else judge
    future = judge[rows, picker.argmax(axis=1)]
    wanted = state["rewards"][chosen] + np.float32(parameters["discount"]) * np.where(
        state["falls"][chosen], np.float32(0), future
    )
    activations = _values(layers, state["observations"][chosen])
    actions = state["actions"][chosen]
    error = activations[-1][rows, actions] - wanted
    slope = np.zeros_like(activations[-1])
    # Squares near nought, straight lines beyond 1: one wild error must not upset everything.
    slope[rows, actions] = np.clip(error, -1, 1) / count
    _adam(state, _gradients(layers, activations, slope), np.float32(epoch.learning_rate or 0.0))
    state["target"] += np.float32(parameters["follow"]) * (state["online"] - state["target"])
    size = np.abs(error)
    return float(np.where(size < 1, 0.5 * size**2, size - 0.5).mean())


def _gradients(layers: Layers, activations: list[Array], slope: Array) -> Array:
    """[weights], from each layer's input, the outputs, and the loss's slope at the outputs."""
    parts: list[Array] = []
    for number in range(len(layers) - 1, -1, -1):
        below = activations[number]
        parts += [slope.sum(axis=0), (below.T @ slope).ravel()]
        if number:
            slope = (slope @ layers[number][0].T) * (below > 0)
    return np.concatenate(parts[::-1])


def _adam(state: State, gradient: Array, rate: np.float32) -> None:
    state["updates"] += 1
    number = int(state["updates"])
    first, second = state["first_moment"], state["second_moment"]
    first += np.float32(1 - KEEP_FIRST) * (gradient - first)
    second += np.float32(1 - KEEP_SECOND) * (gradient * gradient - second)
    # Both began at nought and are too small at first.
    size = rate * np.float32(np.sqrt(1 - KEEP_SECOND**number) / (1 - KEEP_FIRST**number))
    state["online"] -= size * first / (np.sqrt(second) + np.float32(TINY))


def _remember(
    state: State, before: Array, action: int, reward: float, after: Array, fell: bool
) -> None:
    """In the place of the oldest, once every place is taken."""
    place = int(state["seen"]) % len(state["actions"])
    state["observations"][place], state["next_observations"][place] = before, after
    state["actions"][place], state["rewards"][place] = action, reward
    # Running out of time is no fall: what would have come is worth as much as ever.
    state["falls"][place] = fell
    state["seen"] += 1


def _share_of_chance(parameters: Mapping[str, Any], seen: int) -> float:
    """How many of the actions are drawn at random: all at first, then fewer down to the least."""
    least, over = float(parameters["least_random"]), int(parameters["explore_steps"])
    return max(least, 1 - (1 - least) * seen / over)


def _shapes(parameters: Mapping[str, Any]) -> list[tuple[int, int]]:
    return list(pairwise([OBSERVED, *parameters["hidden"], ACTIONS]))


def _layers(weights: Array, parameters: Mapping[str, Any]) -> Layers:
    """Each layer's matrix [in, out] and offset [out], as views of `weights`."""
    layers, start = [], 0
    for rows, columns in _shapes(parameters):
        middle, end = start + rows * columns, start + (rows + 1) * columns
        layers.append((weights[start:middle].reshape(rows, columns), weights[middle:end]))
        start = end
    return layers


def _values(layers: Layers, x: Array) -> list[Array]:
    """What goes into each layer, and at the end what comes out [n, actions]."""
    found = [x * SCALE]
    for number, (W, b) in enumerate(layers):
        z = found[-1] @ W + b
        found.append(z if number == len(layers) - 1 else np.maximum(z, np.float32(0)))
    return found
