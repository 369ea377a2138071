"""A queue that drains although there is no broker, from the first submission to the last result.

The API cannot ring and the worker's Celery never gets a connection: the slots look by themselves.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faults.service import Service, service
from tests.support.databases import KINDS, fresh_database
from tests.support.processes import wait_until

TRIALS, TRIALS_QUICK = 50, 4
KINDS_QUICK = ("postgres",)
SPEC = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 1}
SETTINGS = {"LABPOOL_SLOTS": "2", "LABPOOL_POLL_S": "2"}
PATIENCE_S = 900.0

BOUNDS = {"drained_without_broker": "== queued_without_broker"}
FULL_BOUNDS = {"queued_without_broker": ">= 50"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """How many trials were queued and how many of them succeeded; the fewer of both databases."""
    trials = TRIALS_QUICK if quick else TRIALS
    kinds = KINDS_QUICK if quick else KINDS
    return {
        "queued_without_broker": trials,
        "drained_without_broker": min(_drained(kind, trials) for kind in kinds),
    }


def _drained(kind: str, trials: int) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database(kind) as database,
        service(Path(folder), database, SETTINGS, broker=False) as running,
    ):
        queued = [running.submit({**SPEC, "seed": seed})[0] for seed in range(trials)]
        worker = running.start_worker()
        wait_until(lambda: _unfinished(running) == 0, PATIENCE_S, "the queue to drain", poll_s=0.5)
        assert "ready." not in worker.log_path.read_text(), "this worker has a broker"
        states = [running.trial(trial_id)["state"] for trial_id in queued]
    print(f"  {kind}: {states.count('succeeded')} of {trials} succeeded without a broker")
    return states.count("succeeded")


def _unfinished(running: Service) -> int:
    answer = running.http.get("/api/v1/trials", params={"limit": 1, "state": "queued"})
    queued = len(answer.raise_for_status().json()["trials"])
    answer = running.http.get("/api/v1/trials", params={"limit": 1, "state": "running"})
    return queued + len(answer.raise_for_status().json()["trials"])
