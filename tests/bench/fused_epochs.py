"""Epochs of one trial alone, or of several together, on one thread.

A process of `tests.bench.fused`: ``python -m tests.bench.fused_epochs mlp|cnn 1,4,8,24``. Each line
it reads is `alone` or one of the numbers; it answers with the seconds of an epoch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from labpool.model_form import ModelInput
from labpool.parameters import fill
from tests.support.runners import CATALOG, reference_to
from worker.runner import backend, loading
from worker.runner.data import permutation
from worker.runner.examples import load_splits
from worker.runner.resident import ResidentSplits

BATCH, RATE = 32, 1e-3
EPOCHS_AT_ONCE = 5
CNN = [
    {"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
]


def main() -> None:
    network, sizes = sys.argv[1], [int(size) for size in sys.argv[2].split(",")]
    backend.prepare(1)
    splits = _splits()
    ways: dict[str, Callable[[], None]] = {"alone": _alone(network, splits)}
    ways |= {str(size): _together(network, splits, size) for size in sizes}
    for epoch in ways.values():
        epoch()
        epoch()
    print("ready", flush=True)
    for line in sys.stdin:
        epoch = ways[line.strip()]
        began_s = time.perf_counter()
        for _ in range(EPOCHS_AT_ONCE):
            epoch()
        print((time.perf_counter() - began_s) / EPOCHS_AT_ONCE, flush=True)


def _splits() -> ResidentSplits:
    entry = CATALOG.datasets["digits"]
    reference = reference_to(entry)
    toml = loading.verify(reference)
    parameters: Any = fill(dict(entry.parameters), {}, of=entry.name)[0]
    splits, shape = load_splits(
        reference, toml, parameters, ModelInput(kind="any"), "classification"
    )
    return ResidentSplits.of(splits, shape, "cpu")


def _model(network: str, splits: ResidentSplits, seed: int) -> Any:
    entry = CATALOG.models["mlp" if network == "mlp" else "layers"]
    given = {} if network == "mlp" else {"layers": CNN}
    parameters = fill(dict(entry.parameters), given, of=entry.name)[0]
    code = loading.load(reference_to(entry), entry.path / "model.py", "build")
    backend.reset(seed)
    return code.build(parameters, splits.shape)


def _alone(network: str, splits: ResidentSplits) -> Callable[[], None]:
    from worker.runner.network import Network

    trained = Network(_model(network, splits, 0), "adam", BATCH, "cpu")
    training = splits.training
    steps = -(-training.count // BATCH)

    def epoch() -> None:
        trained.set_learning_rate(RATE)
        trained.train_steps(training, permutation(training.count, 0, 0), 0, steps)
        trained.measure(splits.validation)

    return epoch


def _together(network: str, splits: ResidentSplits, members: int) -> Callable[[], None]:
    from worker.runner.fused.network import FusedNetwork
    from worker.runner.network import arrays_of

    models = [_model(network, splits, seed) for seed in range(members)]
    group = FusedNetwork(models[0], members, "adam", BATCH, "cpu")
    group.put({
        number: (arrays_of(model.variables), group.untrained)
        for number, model in enumerate(models)
    })  # fmt: skip
    training = splits.training
    steps = -(-training.count // BATCH)

    def epoch() -> None:
        group.set_learning_rates([RATE] * members)
        orders = np.stack([permutation(training.count, seed, 0) for seed in range(members)])
        group.train_steps(training, orders, 0, steps)
        group.measure(splits.validation)

    return epoch


if __name__ == "__main__":
    main()
