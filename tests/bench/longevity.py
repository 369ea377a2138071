"""Many trials on one slot: memory stays bounded, and the last are as quick as the first.

First in one runner that meets the same architectures again and again, as a sweep's are. Then on one
slot of a real pool where each trial is of an architecture of its own, the worst for memory:
TensorFlow gives nothing back of what a trace took, so runners are replaced by how they grow, and
a standby has its imports done by then.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from deploy.process_table import descendants
from labpool.settings import Settings
from tests.faults.service import Service, service
from tests.support.databases import fresh_database
from tests.support.processes import wait_until
from tests.support.runners import runner, trial_of

TRIALS, TRIALS_QUICK = 200, 6
ARCHITECTURES = 24
GROWTH_MB = int(Settings.model_fields["runner_growth_mb"].default)
# What one network more than the limit takes, and what a longer life leaves in the allocator.
SLACK_MB = 150
SPEC = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 2}
PAGE_MB = 4096 / 2**20
PATIENCE_S = 1200.0

BOUNDS = {"trials_of_one_runner": "> 0", "trials_of_one_slot": "> 0"}
FULL_BOUNDS = {
    "trials_of_one_runner": ">= 200",
    # From the first time on that all architectures are there.
    "runner_growth_mb": "<= 100",
    "runner_last_over_first": "<= 1.5",
    "trials_of_one_slot": ">= 200",
    "slot_growth_mb_over_limit": f"<= {SLACK_MB}",
    "slot_last_over_first": "<= 1.5",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Megabytes that one runner grew, and how much longer the last quarter takes, by medians."""
    count = TRIALS_QUICK if quick else TRIALS
    return {**_one_runner(count), **_one_slot(count)}


def _one_runner(count: int) -> dict[str, float | int | bool | None]:
    seconds: list[float] = []
    memory_mb: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lp-") as folder, runner(Path(folder)) as running:
        for number in range(count):
            trial = trial_of(_spec(number % ARCHITECTURES, number), Path(folder) / str(number))
            began_s = time.monotonic()
            running.result(trial)
            seconds.append(time.monotonic() - began_s)
            memory_mb.append(_resident_mb(running.process.pid))
    print(f"  one runner: {memory_mb[0]:.0f} MB after the first trial, {memory_mb[-1]:.0f} at last")
    of_known = seconds[ARCHITECTURES:] or seconds
    return {
        "trials_of_one_runner": count,
        "runner_mb": round(memory_mb[-1]),
        "runner_growth_mb": round(memory_mb[-1] - memory_mb[min(ARCHITECTURES, count - 1)]),
        "runner_last_over_first": _last_over_first(of_known),
    }


def _one_slot(count: int) -> dict[str, float | int | bool | None]:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, {"LABPOOL_SLOTS": "1"}) as running,
    ):
        worker = running.start_worker()
        running.wait_ready(1)
        space = {"parameters.hidden": [[16 + number] for number in range(count)]}
        sweep = {"kind": "sweep", "base": SPEC, "strategy": {"method": "grid"}, "space": space}
        trials = running.submit(sweep)
        seen_mb: dict[int, list[float]] = {}

        def are_done() -> bool:
            for process in descendants(worker.pid):
                seen_mb.setdefault(process.pid, []).append(_resident_mb(process.pid))
            return bool(running.trial(trials[-1])["state"] == "succeeded")

        wait_until(are_done, PATIENCE_S, "the last trial", poll_s=0.3)
        seconds = [_seconds(running, trial) for trial in trials]
    at_first_mb = min(max(sizes) for sizes in seen_mb.values())
    most_mb = max(max(sizes) for sizes in seen_mb.values())
    print(f"  one slot: {len(seen_mb)} runners and standbys, {most_mb:.0f} MB at most")
    return {
        "trials_of_one_slot": len(trials),
        "slot_runner_mb_most": round(most_mb),
        "slot_growth_mb_over_limit": round(most_mb - at_first_mb - GROWTH_MB),
        "slot_runners_used": len(seen_mb) - 1,
        "slot_last_over_first": _last_over_first(seconds[1:]),
    }


def _spec(architecture: int, seed: int) -> dict[str, object]:
    return {**SPEC, "parameters": {"hidden": [16 + architecture]}, "seed": seed}


def _seconds(running: Service, trial: int) -> float:
    return float(running.trial(trial)["seconds"])


def _last_over_first(seconds: Sequence[float]) -> float:
    quarter = max(1, len(seconds) // 4)
    return round(median(seconds[-quarter:]) / median(seconds[:quarter]), 2)


def _resident_mb(pid: int) -> float:
    try:
        statm = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(statm.split()[1]) * PAGE_MB
