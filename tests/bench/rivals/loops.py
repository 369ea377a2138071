"""A trial by labpool's own loop, lent to a peer: traced once a process, data on the device.

It has all that makes the loop fast and none of what a service adds: no checkpoints, no curves sent
anywhere, no digests.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

# Not from labpool.settings: its libraries are not in the peers' environment.
CHECKOUT = Path(__file__).resolve().parents[3]
THREADS = 1


@cache
def prepare() -> None:
    """Import TensorFlow, as a runner does."""
    from worker.runner import backend

    backend.prepare(THREADS)


@cache
def splits() -> Any:
    """labpool's splits of `digits`, on the device."""
    from labpool.sdk import DataShape
    from tests.bench.rivals import fits
    from worker.runner.data import Split, Splits
    from worker.runner.resident import ResidentSplits

    training, validation, test = (Split(*part) for part in fits.digits())
    return ResidentSplits.of(
        Splits(training, validation, test), DataShape("image", (8, 8, 1), 10), "cpu"
    )


def warm() -> None:
    """Pay for what a process loads once: imports, data, a first trace."""
    prepare()
    trial = {
        "model": "mlp", "parameters": {"hidden": [4]}, "seed": 0, "learning_rate": 1e-3,
        "learning_rate_decay": 1.0, "batch_size": 512, "epochs": 1,
    }  # fmt: skip
    fit(trial)


def fit(trial: dict[str, Any]) -> float:
    """Train a trial; the accuracy of its best epoch's weights on the test split."""
    prepare()
    from worker.runner.data import permutation

    held = splits()
    network, count = _network(trial, held.shape), held.training.count
    steps = -(-count // trial["batch_size"])
    best, weights = -1.0, network.weights()
    for epoch in range(trial["epochs"]):
        network.set_learning_rate(trial["learning_rate"] * trial["learning_rate_decay"] ** epoch)
        network.train_steps(held.training, permutation(count, trial["seed"], epoch), 0, steps)
        accuracy = network.measure(held.validation)[1]["accuracy"]
        if accuracy > best:
            best, weights = accuracy, network.weights()
    network.set_weights(weights)
    return float(network.measure(held.test)[1]["accuracy"])


def _network(trial: dict[str, Any], shape: Any) -> Any:
    """A network with the weights of the trial's seed; traced already if one like it was here."""
    from worker.runner.kept import key_of, of_this_process
    from worker.runner.network import Network

    name, parameters = trial["model"], trial["parameters"]
    build, filled = _built_by(name, key_of(parameters), lambda: parameters)
    return of_this_process().network(
        key_of(name, parameters, trial["batch_size"]),
        trial["seed"],
        lambda: build(filled, shape),
        lambda model: Network(model, "adam", trial["batch_size"], "cpu"),
    )


_BUILDERS: dict[tuple[str, str], Any] = {}


def _built_by(name: str, key: str, parameters: Any) -> Any:
    from labpool.catalog import Catalog
    from labpool.parameters import fill
    from worker.protocol import CodeReference
    from worker.runner import loading

    if (name, key) not in _BUILDERS:
        entry = Catalog.load([CHECKOUT / "catalog"]).models[name]
        code = CodeReference(name=name, path=str(entry.path), digest=entry.digest)
        module = loading.load(code, entry.path / "model.py", "build")
        filled = fill(dict(entry.parameters), parameters(), of=name)[0]
        _BUILDERS[name, key] = module.build, filled
    return _BUILDERS[name, key]
