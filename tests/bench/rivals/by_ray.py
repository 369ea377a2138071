"""Ray Tune on two CPUs: a function trainable whose actors are used again (`reuse_actors`).

``by_ray fit|loop N`` is for N trials. Tune makes its actors when it begins to fit, and each imports
TensorFlow then. So it has begun before the trials come: it has N trials to run, and the first two
wait in warm actors for a file that says what all of them are.
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

from tests.bench.rivals import speaking

# Nothing is reported to anybody, all sockets are of the loopback, and the token, which would lie in
# the home folder otherwise, is of this run alone.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

CPUS = 2
OBJECT_STORE_BYTES = 100 * 2**20
READY_S = 240.0
POLL_S = 0.002


def train(config: dict[str, Any]) -> None:
    """One trial; the process says by a file of its name that it is warm."""
    from ray import tune

    from tests.bench.rivals import speaking as spoken

    folder = Path(config["folder"])
    work = spoken.work(config["way"])
    warm = folder / f"{os.getpid()}.warm"
    if not warm.exists():
        work.warm()
        warm.touch()
    trials = folder / "trials.json"
    while not trials.exists():
        time.sleep(POLL_S)
    trial = json.loads(trials.read_text(encoding="utf-8"))[config["number"]]
    tune.report({"accuracy": work.fit(trial)})


@contextmanager
def _ray() -> Iterator[tuple[Path, Callable[[], Any]]]:
    """A folder for the trials to be put into, and what waits for their end."""
    import ray

    # Ray's sockets lie below this folder, and their paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="lp-ray-"))
    ray.init(
        address="local", num_cpus=CPUS, include_dashboard=False, log_to_driver=False,
        object_store_memory=OBJECT_STORE_BYTES, _temp_dir=str(folder / "ray"),
    )  # fmt: skip
    try:
        with ThreadPoolExecutor(1) as thread:
            tuning = thread.submit(_tuner(folder, int(sys.argv[2])).fit)
            deadline = time.monotonic() + READY_S
            while len(list(folder.glob("*.warm"))) < CPUS:
                assert not tuning.done() and time.monotonic() < deadline, "no two actors are warm"
                time.sleep(0.05)
            yield folder, tuning.result
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def _tuner(folder: Path, count: int) -> Any:
    from ray import tune

    return tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "number": tune.grid_search(list(range(count))),
            "folder": str(folder),
            "way": speaking.way(),
        },
        # No limit to concurrent trials: an actor is kept only while other trials wait for one, and
        # the CPUs are limit enough.
        tune_config=tune.TuneConfig(metric="accuracy", mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(folder / "results"),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    )


def _run(begun: tuple[Path, Callable[[], Any]], trials: list[dict[str, Any]]) -> list[float]:
    folder, tuned = begun
    unfinished = folder / "trials.unfinished"
    unfinished.write_text(json.dumps(trials), encoding="utf-8")
    unfinished.rename(folder / "trials.json")
    results = tuned()
    assert not results.errors, results.errors
    processes = {result.metrics["pid"] for result in results}
    print(f"{len(results)} trials in {len(processes)} actors", file=sys.stderr)
    found = {result.config["number"]: result.metrics["accuracy"] for result in results}
    return [found[number] for number in range(len(trials))]


if __name__ == "__main__":
    speaking.way()
    speaking.speak(_ray, _run, "ray")
