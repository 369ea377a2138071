"""The slides' networks in plain TensorFlow beside their twins of Keras layers.

A twin begins with the same weights, sees the same batches and must end with the same weights but
for rounding: by plain descent, which does not enlarge rounding as Adam does.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import keras
import numpy as np

from labpool.parameters import fill
from labpool.sdk import DataShape
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, loading
from worker.runner.data import Split
from worker.runner.network import Network, arrays_of
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.resident import Resident

SHAPE = DataShape("image", (28, 28, 1), 10)
COUNT, BATCH, STEPS = 96, 16, 12
# Float32 sums in another order differ by some 1e-7 a step; wrong arithmetic by some 1e-2.
TOLERANCE = 1e-4


def code_of(name: str) -> ModuleType:
    entry = CATALOG.models[name]
    return loading.load(reference_to(entry), entry.path / "model.py", "build", "gradients")


def own(name: str, **parameters: Any) -> tuple[Any, Objective]:
    """The model of the catalog, with its own training step."""
    entry, code = CATALOG.models[name], code_of(name)
    chosen = fill(dict(entry.parameters), parameters, of=name)[0]
    backend.reset(3)
    model: Any = code.build(chosen, SHAPE)
    return model, Objective.of(code, chosen, entry.judging)


def drawn_examples() -> Resident:
    """Images and classes of chance, always the same."""
    draw = np.random.Generator(np.random.PCG64(0))
    x = draw.random((COUNT, *SHAPE.shape), dtype=np.float32)
    return Resident.of(Split(x, draw.integers(0, 10, COUNT)), "cpu")


def trained(model: Any, objective: Objective, rate: float, examples: Resident) -> Network:
    """After STEPS steps of plain descent."""
    network = Network(model, "sgd", BATCH, "cpu", objective)
    network.set_learning_rate(rate)
    order = np.random.Generator(np.random.PCG64(1)).permutation(COUNT)
    for _ in range(STEPS * BATCH // COUNT):
        network.train_steps(examples, order, 0, COUNT // BATCH)
    return network


def moved(before: list[Any], after: list[Any]) -> float:
    """The largest change of any weight."""
    return max(float(np.abs(a - b).max()) for a, b in zip(before, after, strict=True))


def relu_twin() -> Any:
    """The slide's 784-100-10 as layers of Keras."""
    return keras.Sequential(
        [
            keras.Input(SHAPE.shape),
            keras.layers.Flatten(),
            keras.layers.Dense(100, activation="relu"),
            keras.layers.Dense(10),
        ]
    )


def relu_apart() -> tuple[float, float]:
    """How far `relu100_tf` ends from its twin, and how far it went."""
    examples = drawn_examples()
    model, objective = own("relu100_tf")
    start = arrays_of(model.trainable_variables)
    twin = relu_twin()
    twin.set_weights(start)
    networks = (
        trained(model, objective, 0.02, examples),
        trained(twin, CLASSIFICATION, 0.02, examples),
    )
    ours, theirs = (arrays_of(one.model.trainable_variables) for one in networks)
    return moved(theirs, ours), moved(start, ours)
