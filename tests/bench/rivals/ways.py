"""How each way of doing a sweep is run and timed, from its submission to its last result.

Programs that stay (workers of Celery, a cluster of Ray, labpool's service) are warm beforehand; how
long they took for that is `start_s`, and no part of `seconds`.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from deploy import demo
from deploy.address import usable_port
from deploy.data_folder import prepare_folder
from labpool.client import Client
from tests.bench import programs
from tests.bench.rivals.speaking import RESULTS
from tests.bench.rivals.sweeps import Trial
from tests.support.processes import Processes

PATIENCE_S = 1800.0
POLL_S = 0.02

PEERS: Mapping[str, tuple[str, str]] = {
    "shell": ("by_shell", "fit"),
    "celery": ("by_celery", "fit"),
    "optuna": ("by_optuna", "fit"),
    "ray": ("by_ray", "fit"),
    "keras_tuner": ("by_keras_tuner", "fit"),
    "optuna_loop": ("by_optuna", "loop"),
    "ray_loop": ("by_ray", "loop"),
}
"""Their modules, and whose loop trains."""

AS_PEOPLE_USE_THEM = tuple(name for name, (_, way) in PEERS.items() if way == "fit")
GIVEN_OUR_LOOP = tuple(name for name, (_, way) in PEERS.items() if way == "loop")
OURS: Mapping[str, Any] = {"unfused": "off", "fused": 24}
"""What `fuse` says."""


@dataclass(frozen=True)
class Taken:
    """A sweep, done once; `load` is the machine's, of the last minute, before and after."""

    seconds: float
    accuracy: float
    trials: int
    start_s: float | None
    load: tuple[float, float]
    versions: Mapping[str, str]
    groups: Mapping[int, int]
    """How many trials were trained in groups of which size."""

    def as_json(self) -> dict[str, Any]:
        """What a file of raw numbers keeps."""
        return asdict(self)


def by_peer(python: Path, name: str, trials: list[Trial]) -> Taken:
    """By a peer's program in its own environment. Raises programs.Broken."""
    module, way = PEERS[name]
    command = (str(python), "-m", f"tests.bench.rivals.{module}", way, str(len(trials)))
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="lp-") as folder, _broker(name, folder) as socket:
        results = Path(folder) / "results.json"
        environment = {RESULTS: str(results), "PEERS_BROKER_SOCKET": socket}
        seconds = programs.seconds(command, [trials], environment, PATIENCE_S)
        told = json.loads(results.read_text(encoding="utf-8"))
    return Taken(
        seconds=seconds, accuracy=mean(told["accuracies"]), trials=len(told["accuracies"]),
        start_s=told["start_s"], load=(before, os.getloadavg()[0]), versions=told["versions"],
        groups={},
    )  # fmt: skip


def by_labpool(client: Client, fuse: Any, spec: Mapping[str, Any]) -> Taken:
    """By a service that is up, from the POST to the last result. Raises AssertionError."""
    before = os.getloadavg()[0]
    began_s = time.monotonic()
    submission = client.submit({**spec, "fuse": fuse})
    while not (experiment := client.experiment(submission.id)).finished:
        assert time.monotonic() < began_s + PATIENCE_S, f"waited {PATIENCE_S:g} s for labpool"
        time.sleep(POLL_S)
    seconds = time.monotonic() - began_s
    assert experiment.succeeded, experiment.states
    trials = [client.trial(number) for number in submission.trial_ids]
    accuracies = [trial.metrics["test_accuracy"] for trial in trials]
    assert all(accuracy is not None for accuracy in accuracies)
    together = Counter(_trained_together(trial) for trial in trials)
    return Taken(
        seconds=seconds, accuracy=mean(float(one or 0) for one in accuracies), trials=len(trials),
        start_s=None, load=(before, os.getloadavg()[0]), versions={}, groups=dict(together),
    )  # fmt: skip


@contextmanager
def pool() -> Iterator[Client]:
    """`labpool up` with default settings, its slots ready."""
    with tempfile.TemporaryDirectory(prefix="lp-") as name:
        folder = Path(name) / "data"
        prepare_folder(folder)
        with demo.service(folder, usable_port("127.0.0.1", 0)) as client:
            yield client


@contextmanager
def _broker(name: str, folder: str) -> Iterator[str]:
    if name != "celery":
        yield ""
        return
    with Processes(Path(folder) / "processes") as processes:
        yield str(processes.broker().socket_path)


def _trained_together(trial: Any) -> int:
    return int(getattr(trial, "trained_together", None) or 1)
