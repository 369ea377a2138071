"""What transfer learning brings: a base learned on the digits 0 to 4, used on 5 to 9.

For each seed the model `transfer` learns 0 to 4 with its defaults. Then, on 5 to 9, each with
`EPOCHS` epochs, the same seed, `HEAD_RATE`, and judged on the test split by the checkpoint that
validation chose:

* *transferred*: the base of the best epoch on 0 to 4, frozen; a fresh head learns;
* *random base*: the same layers, frozen as the seed drew them; the same fresh head learns;
* *fine-tuned*: from *transferred*, all layers learn for `EPOCHS` more at `TUNING_RATE`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from tests.support.runners import Runner, of_type, runner, trial_of
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import checkpoints
from worker.runner.digests import digest_of_weights
from worker.runner.files import sha256_of

SEEDS, SEEDS_QUICK = 10, 2
EPOCHS, HEAD_RATE, TUNING_RATE = 3, 1e-2, 1e-3
BASE = ["base_conv1", "base_conv2", "base_norm"]
LOW: dict[str, Any] = {
    "kind": "train", "model": "transfer", "dataset": "digits", "device": "cpu",
    "dataset_parameters": {"labels": "low"},
}  # fmt: skip
HIGH = {
    **LOW, "dataset_parameters": {"labels": "high"}, "epochs": EPOCHS, "learning_rate": HEAD_RATE,
}  # fmt: skip

FLOORS = {
    "transfer_frozen_identical": 1.0,
    "transfer_accuracy": 0.92,
    "transfer_over_random_base": 0.05,
    "transfer_tuning_gain": 0.005,
}


def figures(quick: bool) -> dict[str, dict[str, float | bool]]:
    """Means over the seeds: `value`, `floor` and `ok` by name. Accuracies and gains are shares."""
    seeds = range(SEEDS_QUICK if quick else SEEDS)
    with tempfile.TemporaryDirectory(prefix="lp-") as name, runner(Path(name), "--light") as one:
        rows = [compared(one, Path(name) / str(seed), seed) for seed in seeds]
    values = {
        "transfer_frozen_identical": float(min(row["identical"] for row in rows)),
        "transfer_accuracy": mean(row["transferred"] for row in rows),
        "transfer_over_random_base": mean(row["transferred"] - row["random"] for row in rows),
        "transfer_tuning_gain": mean(row["tuned"] - row["transferred"] for row in rows),
    }
    return {
        name: {"value": round(value, 4), "floor": FLOORS[name], "ok": value >= FLOORS[name]}
        for name, value in values.items()
    }


def compared(running: Runner, folder: Path, seed: int) -> dict[str, float]:
    """Test accuracies of the three ways with one seed; `identical` is 1 when the base stayed."""
    high = {**HIGH, "seed": seed}
    _, low = trained(running, trial_of({**LOW, "seed": seed}, folder / "low"))
    frozen = trial_of({**high, "freeze": BASE, "fresh": ["head"]}, folder / "moved", origin=low)
    moved, after = trained(running, frozen)
    tuning = {**high, "learning_rate": TUNING_RATE}
    tuned, _ = trained(running, trial_of(tuning, folder / "tuned", origin=after))
    random, _ = trained(running, trial_of({**high, "freeze": BASE}, folder / "random"))
    return {
        "identical": float(digest_of_base(low) == digest_of_base(after)),
        "transferred": moved.metrics["test_accuracy"],
        "tuned": tuned.metrics["test_accuracy"],
        "random": random.metrics["test_accuracy"],
    }


def trained(running: Runner, trial: TrialToRun) -> tuple[protocol.Result, Path]:
    """Its result, and where its best checkpoint lies."""
    seen = running.run(trial)
    assert isinstance(seen[-1], protocol.Result), seen[-1]
    best = [one for one in of_type(seen, protocol.Checkpoint) if one.best][-1]
    return seen[-1], Path(trial.scratch) / best.file


def digest_of_base(path: Path) -> str:
    """Of all that a checkpoint's best epoch holds of the base, batch statistics included."""
    found = checkpoints.load(path, sha256_of(path))
    return digest_of_weights([found.best[n] for name in BASE for n in found.layers[name]])


if __name__ == "__main__":
    import json

    print(json.dumps(figures(quick=False)))
