"""How soon the first step of a training run is done, for an architecture new to a slot or not.

An idle slot hears of a trial by the bell alone; its runner is warm and has TensorFlow loaded. Each
architecture is submitted twice, with another seed, rate and number of epochs the second time. The
*first step* is done when the first optimizer step has come back with its loss.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.faults.latency import ONLY_THE_BELL, start
from tests.faults.service import Service, service
from tests.support.databases import fresh_database

ARCHITECTURES, ARCHITECTURES_QUICK = 12, 2
WORKER = (sys.executable, "-m", "tests.faults.timed_worker")

BOUNDS = {"new_architectures": "> 0"}
FULL_BOUNDS = {
    "first_step_of_a_seen_one_after_claim_ms": "<= 50",
    "first_step_of_a_seen_one_after_post_ms": "<= 100",
    "first_step_of_a_new_one_after_post_ms": "<= 1500",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Medians and worst, in milliseconds."""
    count = ARCHITECTURES_QUICK if quick else ARCHITECTURES
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, ONLY_THE_BELL) as running,
    ):
        running.start_worker(WORKER, LABPOOL_TRIALS_PER_RUNNER="1000")
        running.wait_ready(1)
        # The first ones find the runner still importing, and load the data.
        for seed in range(2):
            _train(running, width=8, seed=seed)
        new = [_train(running, width=16 + number, seed=0) for number in range(count)]
        seen = [_train(running, width=16 + number, seed=1) for number in range(count)]
    after_claim = [run["first_step"] - run["claimed"] for run in seen]
    after_post = [run["first_step"] for run in seen]
    of_new = [run["first_step"] for run in new]
    return {
        "new_architectures": count,
        "first_step_of_a_seen_one_after_claim_ms": round(median(after_claim), 1),
        "first_step_of_a_seen_one_after_claim_ms_most": round(max(after_claim), 1),
        "first_step_of_a_seen_one_after_post_ms": round(median(after_post), 1),
        "first_step_of_a_seen_one_after_post_ms_most": round(max(after_post), 1),
        "first_step_of_a_new_one_after_post_ms": round(median(of_new), 1),
        "first_step_of_a_new_one_after_post_ms_most": round(max(of_new), 1),
    }


def _train(running: Service, width: int, seed: int) -> dict[str, float]:
    spec = {
        "kind": "train", "model": "mlp", "dataset": "digits", "parameters": {"hidden": [width]},
        "epochs": 1 + seed, "learning_rate": 0.001 * (1 + seed),
    }  # fmt: skip
    return dict(start(running, seed, spec))
