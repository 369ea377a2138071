"""What transfer learning brings: a base learned on the digits 0 to 4, used on 5 to 9.

Three ways are compared on the test split of 5 to 9, after the same few epochs with the same rate,
batch and seed, each from the checkpoint that validation chose:

* *transferred*: the base of the best epoch on 0 to 4, frozen; a fresh head is trained;
* *random base*: the same layers frozen as they were drawn; the same fresh head is trained;
* *from scratch*: nothing is frozen and nothing taken.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from tests.support.runners import Runner, of_type, runner, trial_of
from worker import protocol

SEEDS, SEEDS_QUICK = 10, 2
BASE = ["base_conv1", "base_norm", "base_conv2"]
EPOCHS = 3
LOW: dict[str, Any] = {
    "kind": "train", "model": "transfer", "dataset": "digits", "device": "cpu",
    "dataset_parameters": {"labels": "low"},
}  # fmt: skip
HIGH = {**LOW, "dataset_parameters": {"labels": "high"}, "epochs": EPOCHS}

FLOORS = {
    "transfer_frozen_identical": 1.0,
    "transfer_accuracy": 0.9,
    "transfer_over_random_base": 0.05,
    "transfer_over_scratch": 0.0,
}


def figures(quick: bool) -> dict[str, dict[str, float | bool]]:
    """`value`, `floor` and `ok` of each figure; margins are means over the seeds."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="lp-") as folder:
        with runner(Path(folder), "--light") as running:
            for seed in range(SEEDS_QUICK if quick else SEEDS):
                rows.append(compared(running, Path(folder) / str(seed), seed))
    values = {
        "transfer_frozen_identical": float(all(row["identical"] for row in rows)),
        "transfer_accuracy": mean(row["transferred"] for row in rows),
        "transfer_over_random_base": mean(row["transferred"] - row["random"] for row in rows),
        "transfer_over_scratch": mean(row["transferred"] - row["scratch"] for row in rows),
    }
    return {
        name: {"value": value, "floor": FLOORS[name], "ok": value >= FLOORS[name]}
        for name, value in values.items()
    }


def compared(running: Runner, folder: Path, seed: int) -> dict[str, float]:
    """Test accuracies of the three ways with one seed, and whether the base stayed as it was."""
    low = folder / "low"
    best = best_checkpoint(running, trial_of({**LOW, "seed": seed}, low))
    high = {**HIGH, "seed": seed}
    frozen = {**high, "freeze": BASE}
    moved = trial_of({**frozen, "fresh": ["head"]}, folder / "moved", origin=low / best)
    last = best_checkpoint(running, moved)
    identical = layers_in(low / best, BASE) == layers_in(folder / "moved" / last, BASE)
    return {
        "identical": float(identical),
        "transferred": _accuracy(running, moved),
        "random": _accuracy(running, trial_of(frozen, folder / "random")),
        "scratch": _accuracy(running, trial_of(high, folder / "scratch")),
    }
