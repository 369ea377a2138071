"""How soon a trained model answers: cold, warm, and beside slots that are all busy.

Real processes on SQLite: the API, a broker, a worker with two slots on the processor. A LeNet-5 is
trained, then asked about one digit over HTTP with `?wait=`. *First* finds no predictor's process, a
slot's standby at most; *new* finds one that has not seen the model; *warm* is every further
question.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.service import Service, service
from tests.support.databases import fresh_database

WARM, WARM_QUICK = 40, 5
LENET = {"kind": "train", "model": "lenet5", "dataset": "digits", "epochs": 2}
SOFTMAX = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 2}
LONG = {**LENET, "epochs": 5000, "early_stopping_patience": None}
MANY_LIMITS = {
    "LABPOOL_MAX_PREDICTIONS_PER_MINUTE": "100000",
    "LABPOOL_SLOTS": "2",
    "LABPOOL_BEAT_S": "2",
}

BOUNDS = {"prediction_answers": "> 0"}
FULL_BOUNDS = {
    "prediction_warm_ms": "<= 100",
    "prediction_with_busy_slots_ms": "<= 500",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Medians and worst of the warm ones, in milliseconds from POST to the answer."""
    count = WARM_QUICK if quick else WARM
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, MANY_LIMITS) as running,
    ):
        running.start_worker()
        running.wait_ready(2)
        [lenet], [softmax] = running.submit(LENET), running.submit(SOFTMAX)
        for trial in (lenet, softmax):
            assert running.wait_for(trial, "succeeded", "failed") == "succeeded"
        first_ms = _ask(running, softmax)
        new_ms = _ask(running, lenet)
        warm = [_ask(running, lenet) for _ in range(count)]
        busy = [running.submit(LONG)[0] for _ in range(2)]
        for trial in busy:
            running.wait_for(trial, "running")
        time.sleep(3.0)
        beside = [_ask(running, lenet) for _ in range(count)]
        states = [running.trial(trial)["state"] for trial in busy]
        assert states == ["running", "running"], states
        for trial in busy:
            running.http.post(f"/api/v1/trials/{trial}/cancel").raise_for_status()
    return {
        "prediction_answers": 2 + 2 * count,
        "prediction_first_ms": round(first_ms, 1),
        "prediction_of_a_new_model_ms": round(new_ms, 1),
        "prediction_warm_ms": round(median(warm), 1),
        "prediction_warm_ms_most": round(max(warm), 1),
        "prediction_with_busy_slots_ms": round(median(beside), 1),
        "prediction_with_busy_slots_ms_most": round(max(beside), 1),
    }


def _ask(running: Service, trial: int) -> float:
    began = time.perf_counter()
    place = f"/api/v1/trials/{trial}/predictions"
    sent = running.http.post(place, params={"wait": 25}, json={"inputs": [0.5] * 64})
    answer: dict[str, Any] = sent.raise_for_status().json()
    while answer["state"] in ("waiting", "running"):
        time.sleep(0.02)
        answer = running.http.get(answer["url"]).raise_for_status().json()
    assert answer["state"] == "done", answer
    return 1000 * (time.perf_counter() - began)
