"""How soon the first step of a training run is done, for an architecture new to a slot or not.

A worker of two idle slots hears of a trial by the bell alone; their runners are warm and have
TensorFlow loaded. Each architecture is submitted twice, with another seed, rate and number of
epochs the second time: whichever slot traced it then is to take it, or it is traced again. The
*first step* is done when the first optimizer step has come back with its loss.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.latency import start
from tests.faults.service import Service, service
from tests.support.databases import fresh_database

ARCHITECTURES, ARCHITECTURES_QUICK = 12, 2
# An idle slot would look by itself in an hour: what starts sooner was started by the bell.
TWO_SLOTS = {"LABPOOL_SLOTS": "2", "LABPOOL_POLL_S": "3600"}
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
        service(Path(folder), database, TWO_SLOTS) as running,
    ):
        running.start_worker(WORKER, LABPOOL_TRIALS_PER_RUNNER="1000")
        running.wait_ready(2)
        # Two at once, so that each slot has one: they find it importing, and load the data.
        at_once = [running.submit(_spec(width, seed=0, epochs=40)) for width in (8, 9)]
        for [trial_id] in at_once:
            running.wait_for(trial_id, "succeeded")
        _train(running, width=10, seed=0)
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
    return dict(start(running, seed, _spec(width, seed, epochs=1 + seed)))


def _spec(width: int, seed: int, epochs: int) -> dict[str, Any]:
    return {
        "kind": "train", "model": "mlp", "dataset": "digits", "parameters": {"hidden": [width]},
        "epochs": epochs, "learning_rate": 0.001 * (1 + seed), "seed": seed,
    }  # fmt: skip
