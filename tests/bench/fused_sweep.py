"""A sweep of one network over rate, decay and seed, from the POST to the last result.

The same sweep with `fuse: 24`, with `fuse: auto` and with `fuse: off` in turn, on two slots of one
thread each, so that a busy machine slows all of them; the figures are medians of the rounds'
ratios. Each round's network is a neuron wider than those before, so each traces its own, and `auto`
has to find out each time what pays. Mean accuracies of the first round are compared too.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

from tests.faults.service import Service, service
from tests.support.databases import fresh_database
from tests.support.processes import wait_until

ROUNDS, ROUNDS_QUICK = 3, 1
SEEDS, SEEDS_QUICK = 8, 2
EPOCHS = 50
SLOTS = 2
WAYS = (24, "auto", "off")
PATIENCE_S = 1200.0

BOUNDS = {"fused_sweep_ratio": "> 0", "fused_sweep_accuracy_difference": "<= 0.03"}
FULL_BOUNDS = {
    "fused_sweep_trials": "== 96",
    "fused_sweep_ratio": "> 1",
    "fused_sweep_accuracy_difference": "<= 0.005",
}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Seconds of each way, and how many times as fast the fused ones are."""
    rounds, seeds = (ROUNDS_QUICK, SEEDS_QUICK) if quick else (ROUNDS, SEEDS)
    seconds: dict[Any, list[float]] = defaultdict(list)
    accuracies: dict[Any, float] = {}
    with _pool() as running:
        # Once unmeasured: the first trials of a pool find its runners still importing.
        _taken(running, _sweep(24, 0, 1))
        for number in range(1, rounds + 1):
            for way in WAYS:
                taken_s, ids = _taken(running, _sweep(way, number, seeds))
                seconds[way].append(taken_s)
                groups = Counter()
                if number == 1:
                    trials = [running.trial(trial_id) for trial_id in ids]
                    accuracies[way] = mean(one["metrics"]["test_accuracy"] for one in trials)
                    groups.update(one["trained_together"] or 1 for one in trials)
                print(f"  round {number} of {rounds}: {way} {taken_s:.2f} s {dict(groups)}")
    found: dict[str, float | int | bool | None] = {
        "fused_sweep_trials": 12 * seeds,
        "fused_sweep_accuracy_difference": round(abs(accuracies[24] - accuracies["off"]), 4),
    }
    for way, name in ((24, "fused_sweep"), ("auto", "fused_sweep_auto")):
        ratios = [one / other for one, other in zip(seconds["off"], seconds[way], strict=True)]
        found |= {
            f"{name}_s": round(median(seconds[way]), 2),
            f"{name}_ratio": round(median(ratios), 2),
            f"{name}_ratio_least": round(min(ratios), 2),
            f"{name}_ratio_most": round(max(ratios), 2),
        }
    return {**found, "fused_sweep_off_s": round(median(seconds["off"]), 2)}


def _sweep(fuse: Any, number: int, seeds: int) -> dict[str, Any]:
    base = {
        "kind": "train", "model": "mlp", "dataset": "digits", "epochs": EPOCHS,
        # One at the end: durable files cost more than these small networks' epochs.
        "checkpoint_every_epochs": EPOCHS, "parameters": {"hidden": [64, 64 + number]},
    }  # fmt: skip
    space = {
        "learning_rate": [3e-3, 1e-3, 3e-4],
        "learning_rate_decay": [1.0, 0.97, 0.95, 0.9],
        "seed": list(range(seeds)),
    }
    return {
        "kind": "sweep", "base": base, "strategy": {"method": "grid"}, "space": space, "fuse": fuse,
    }  # fmt: skip


def _taken(running: Service, sweep: dict[str, Any]) -> tuple[float, list[int]]:
    """Seconds from the POST to the last result, and the trials. Raises AssertionError."""
    began_s = time.monotonic()
    ids = running.submit(sweep)

    def all_done() -> bool:
        for state in ("queued", "running"):
            answer = running.http.get("/api/v1/trials", params={"state": state, "limit": 1})
            if answer.raise_for_status().json()["trials"]:
                return False
        return True

    wait_until(all_done, PATIENCE_S, "the last result", poll_s=0.02)
    seconds = time.monotonic() - began_s
    states = Counter(running.trial(trial_id)["state"] for trial_id in ids)
    assert states == {"succeeded": len(ids)}, states
    return seconds, ids


@contextmanager
def _pool() -> Iterator[Service]:
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        service(Path(folder), database, {"LABPOOL_SLOTS": str(SLOTS)}) as running,
    ):
        running.start_worker()
        running.wait_ready(SLOTS)
        yield running
