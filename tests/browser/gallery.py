"""What the screenshots show: a small lab's day of experiments by two people, really run."""

from __future__ import annotations

from typing import Any

from labpool.client import Client
from labpool.reading import read_spec
from labpool.settings import CHECKOUT
from tests.browser.service import Filled, Service

RUN_TIMEOUT_S = 600.0
RANDOM_SEARCH: dict[str, Any] = {
    "kind": "sweep",
    "name": "random search, three layers on the spirals",
    "tags": ["spirals"],
    "base": {
        "kind": "train",
        "model": "mlp",
        "dataset": "spirals",
        "parameters": {"hidden": [64, 64, 64]},
        "epochs": 20,
    },
    "strategy": {"method": "random", "trials": 8, "seed": 1},
    "space": {
        "learning_rate": {"low": 1e-4, "high": 3e-2, "scale": "log"},
        "batch_size": [16, 32, 64],
        "optimizer": ["adam", "sgd"],
    },
}
SOFTMAX: dict[str, Any] = {
    "kind": "train",
    "name": "softmax: where a straight line gets",
    "notes": "The baseline that everything else has to beat.",
    "tags": ["baseline"],
    "model": "softmax",
    "dataset": "digits",
    "epochs": 20,
}
DRAWING: dict[str, Any] = {
    "kind": "train",
    "name": "drawing digits",
    "model": "gan",
    "dataset": "digits",
    "epochs": 40,
}
FAILING: dict[str, Any] = {
    "kind": "train",
    "name": "lenet5 with one second to live",
    "model": "lenet5",
    "dataset": "digits",
    "epochs": 2000,
    "time_limit_s": 1,
}
SIZES: dict[str, Any] = {
    "kind": "sweep",
    "name": "saxpy by size, on the processor",
    "base": {"kind": "benchmark", "kernel": "saxpy", "device": "cpu"},
    "strategy": {"method": "grid"},
    "space": {
        "dtype": ["float32", "float64"],
        "sizes.n": [10**3, 10**4, 10**5, 10**6, 10**7],
    },
}
WAITING: dict[str, Any] = {
    "kind": "benchmark",
    "name": "the whole layer on a GPU",
    "kernel": "dense_relu",
    "device": "gpu",
}
RUNNING: dict[str, Any] = {
    "kind": "train",
    "name": "lenet5, a long run",
    "model": "lenet5",
    "dataset": "digits",
    "epochs": 3000,
    "optimizer": "sgd",
    "learning_rate": 3e-3,
    "learning_rate_decay": 1.0,
}


def example(name: str) -> dict[str, Any]:
    """One of the repository's examples."""
    spec: dict[str, Any] = read_spec((CHECKOUT / "examples" / name).read_bytes(), "yaml")
    return spec


def hang(service: Service) -> Filled:
    """Run the experiments of the gallery; the last one, a long run, goes on."""
    service.worker()
    with service.client("ada") as ada, service.client("grace") as grace:
        sweep = ada.submit(example("lenet5_sweep.yaml"))
        trained = grace.submit(example("keras_cnn.yaml"))
        benchmark = grace.submit(example("dense_relu_cpu.yaml"))
        softmax = ada.submit(SOFTMAX)
        timed = grace.submit(SIZES)
        search = grace.submit(RANDOM_SEARCH)
        drawing = grace.submit(DRAWING)
        failed = grace.submit(FAILING)
        waiting = ada.submit(WAITING)
        for submission in (sweep, trained, benchmark, softmax, timed, search, drawing):
            assert ada.wait(submission.id, RUN_TIMEOUT_S).succeeded
        assert ada.wait(failed.id, RUN_TIMEOUT_S).states == {"failed": 1}
        prediction = grace.predict(trained.trial_ids[0], [0.5] * 64)
    return Filled(
        trained=trained.trial_ids[0],
        trained_experiment=trained.id,
        sweep=sweep.id,
        sweep_trials=tuple(sweep.trial_ids),
        benchmark=benchmark.trial_ids[0],
        waiting=waiting.trial_ids[0],
        waiting_experiment=waiting.id,
        failed=failed.trial_ids[0],
        failed_experiment=failed.id,
        drawing=drawing.trial_ids[0],
        prediction=prediction.id,
        timed=timed.trial_ids[-1],
        timed_experiment=timed.id,
    )


def trials_of(client: Client, name: str) -> list[int]:
    """The trials of the experiment of that name."""
    found = next(one for one in client.experiments() if one.name == name)
    return [trial.id for trial in client.trials(found.id)]
