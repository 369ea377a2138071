"""Test accuracies of labpool's loop and of `fit` with the same seeds, one warm runner for all.

Fed the same batches they end with the same bits, so nothing should differ; if a later TensorFlow
broke that, this is what it would cost.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean

from tests.support.runners import runner, trial_of

SEEDS, SEEDS_QUICK = 10, 1
SPECS = {
    "lenet": {"kind": "train", "model": "lenet5", "dataset": "digits", "epochs": 5},
    "mlp": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 10},
}

BOUNDS = {f"{name}_accuracy_difference": "<= 0.005" for name in SPECS}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Means over the seeds, the mean's absolute difference, and how many pairs are equal."""
    seeds = range(SEEDS_QUICK if quick else SEEDS)
    found: dict[str, float | int | bool | None] = {"paired_seeds": len(seeds)}
    with tempfile.TemporaryDirectory(prefix="lp-") as folder, runner(Path(folder)) as running:

        def accuracy(spec: dict[str, object]) -> float:
            answer = running.result(trial_of(spec, Path(folder) / "trial"))
            return float(answer.metrics["test_accuracy"])

        for name, spec in SPECS.items():
            by_loop, by_fit = (
                [accuracy({**spec, "engine": engine, "seed": seed}) for seed in seeds]
                for engine in ("loop", "fit")
            )
            equal = sum(one == other for one, other in zip(by_loop, by_fit, strict=True))
            found |= {
                f"{name}_accuracy": round(mean(by_loop), 4),
                f"{name}_accuracy_difference": round(abs(mean(by_loop) - mean(by_fit)), 4),
                f"{name}_pairs_equal": equal,
            }
    return found
