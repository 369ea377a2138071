"""Ray Tune on two CPUs: actors that are used again for the next trial (`reuse_actors`).

``python -m tests.bench.peers.by_ray N`` is for N trials. Tune makes its actors when it begins to
fit, and each imports TensorFlow then. So it has begun before the trials come: it has N trials to
run, and the first two wait in warm actors for a file that says what all of them are.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Nothing is reported to anybody, all sockets are of the loopback, and the token, which would lie in
# the home folder otherwise, is of this run alone.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

import ray
from ray import tune

from tests.bench.peers import fits

CPUS = 2
OBJECT_STORE_BYTES = 100 * 2**20
READY_S = 180.0
POLL_S = 0.002


class Training(tune.Trainable):
    """A trial is one step; its process says by a file of its name that it is warm."""

    def setup(self, config: dict[str, Any]) -> None:
        fits.warm()
        (Path(config["folder"]) / f"{os.getpid()}.warm").touch()

    def step(self) -> dict[str, Any]:
        trials = Path(self.config["folder"]) / "trials.json"
        while not trials.exists():
            time.sleep(POLL_S)
        trial = json.loads(trials.read_text(encoding="utf-8"))[self.config["number"]]
        return {"val_accuracy": fits.fit(trial), "done": True}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


@contextmanager
def _ray() -> Iterator[tuple[Path, Callable[[], Any]]]:
    """A folder for the trials to be put into, and what waits for their end."""
    # Ray's sockets lie below this folder, and their paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="lp-ray-"))
    ray.init(
        address="local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES, _temp_dir=str(folder / "ray"),
    )  # fmt: skip
    try:
        with ThreadPoolExecutor(1) as thread:
            tuning = thread.submit(_tuner(folder, int(sys.argv[1])).fit)
            deadline = time.monotonic() + READY_S
            while len(list(folder.glob("*.warm"))) < CPUS:
                assert not tuning.done() and time.monotonic() < deadline, "no two actors are warm"
                time.sleep(0.05)
            yield folder, tuning.result
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _tuner(folder: Path, count: int) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(Training, {"cpu": 1}),
        param_space={"number": tune.grid_search(list(range(count))), "folder": str(folder)},
        # No limit to concurrent trials: an actor is kept only while other trials wait for one, and
        # the CPUs are limit enough.
        tune_config=tune.TuneConfig(metric="val_accuracy", mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder / "results"),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


def _run(begun: tuple[Path, Callable[[], Any]], trials: list[dict[str, Any]]) -> int:
    folder, tuned = begun
    unfinished = folder / "trials.unfinished"
    unfinished.write_text(json.dumps(trials), encoding="utf-8")
    unfinished.rename(folder / "trials.json")
    results = tuned()
    assert not results.errors, results.errors
    processes = {result.metrics["pid"] for result in results}
    print(f"{len(results)} trials in {len(processes)} actors", file=sys.stderr)
    return len(results)


if __name__ == "__main__":
    fits.answer(_ray, _run)
