"""How long it takes from a submission to a runner at work, on an idle slot with a warm runner.

A member submits over HTTP to the real server, the bell rings over a real broker, and a slot of the
real worker hands the trial to its runner, which has TensorFlow loaded. *At work* is the moment at
which the runner holds the trial and begins to do it; `started_ms` goes on to the moment at which
its data is read, its model is built and training begins, which depends on the model.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.service import Service, percentile, service
from tests.faults.timed_runner import MARK
from tests.support.databases import KINDS, fresh_database

TRIALS, TRIALS_QUICK, UNCOUNTED = 60, 3, 2
KINDS_QUICK = ("postgres",)
SPEC = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 1}
WORKER = (sys.executable, "-m", "tests.faults.timed_worker")
# An idle slot would look by itself in an hour: what starts sooner was started by the bell.
ONLY_THE_BELL = {"LABPOOL_SLOTS": "1", "LABPOOL_POLL_S": "3600"}
STEPS = ("answered", "rung", "claimed", "sent", "taken_up", "started")
TIMES = {
    "start_ms_p50": ("taken_up", 0.5),
    "start_ms_p95": ("taken_up", 0.95),
    "started_ms_p50": ("started", 0.5),
    "started_ms_p95": ("started", 0.95),
}

BOUNDS = {"started_trials": ">= 3"}
# Of a machine with two idle cores.
FULL_BOUNDS = {"start_ms_p50": "<= 50", "start_ms_p95": "<= 250"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Milliseconds from the start of the request; those without a suffix are the worse database's.

    `started_trials` are those of each.
    """
    counted = TRIALS_QUICK if quick else TRIALS
    kinds = KINDS_QUICK if quick else KINDS
    found = {kind: measured(kind, counted) for kind in kinds}
    worst = {name: max(each[name] for each in found.values()) for name in TIMES}
    suffixed = {f"{name}_{kind}": found[kind][name] for kind in kinds for name in TIMES}
    started = min(int(each["started_trials"]) for each in found.values())
    return {"started_trials": started, **worst, **suffixed}


def measured(kind: str, counted: int) -> dict[str, float]:
    """Percentiles over trials one after another, on one database."""
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database(kind) as database,
        service(Path(folder), database, ONLY_THE_BELL) as running,
    ):
        running.start_worker(WORKER, LABPOOL_TRIALS_PER_RUNNER=str(counted + UNCOUNTED + 1))
        running.wait_ready(1)
        # The first ones find the runner still importing.
        runs = [start(running, seed) for seed in range(counted + UNCOUNTED)][UNCOUNTED:]
    for step in STEPS:
        times_ms = [run[step] for run in runs]
        print(f"  {kind}, {step:>10}: {percentile(times_ms, 0.5):7.1f} ms at the median,"
              f" {percentile(times_ms, 0.95):7.1f} at p95")  # fmt: skip
    times = {
        name: round(percentile([run[step] for run in runs], share), 1)
        for name, (step, share) in TIMES.items()
    }
    return {"started_trials": len(runs), **times}


def start(running: Service, seed: int, spec: Mapping[str, Any] = SPEC) -> Mapping[str, float]:
    """One trial to its end; when each step of its start was done, in ms from the request on."""
    assert running.worker is not None
    before = len(_stamps(running.worker.log_path.read_text()))
    began_s = time.monotonic()
    [trial_id] = running.submit({**spec, "seed": seed})
    seen = {"answered": time.monotonic()}
    running.wait_for(trial_id, "succeeded")
    # It rests as a user's slot does between two trials.
    time.sleep(0.3)
    for what, at_s in (
        *_stamps(running.worker.log_path.read_text())[before:],
        *_stamps(running.log_of(trial_id)),
    ):
        seen.setdefault(what, at_s)
    return {what: 1000 * (at_s - began_s) for what, at_s in seen.items()}


def _stamps(text: str) -> list[tuple[str, float]]:
    lines = [line.split() for line in text.splitlines() if line.startswith(MARK)]
    return [(what, float(at_s)) for _, what, at_s in lines]
