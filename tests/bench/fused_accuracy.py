"""Test accuracies of trials trained together and of the same trials alone, with the same seeds.

One warm runner for all. They end alike to rounding only, and Adam makes more of rounding, so pairs
may differ; their means over the seeds are not to.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from tests.support.runners import Runner, runner, trial_of
from worker import protocol

SEEDS, SEEDS_QUICK = 10, 2
_CNN = [
    # The `layers` model has pictures of 16 x 16; this makes the digits 8 x 8 again.
    {"type": "AveragePooling2D"},
    {"type": "Conv2D", "filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
]
_COMMON = {"kind": "train", "dataset": "digits", "epochs": 10, "checkpoint_every_epochs": 10}
SPECS: dict[str, dict[str, Any]] = {
    "mlp": {**_COMMON, "model": "mlp", "learning_rate": 3e-3},
    "cnn": {
        **_COMMON, "model": "layers", "parameters": {"layers": _CNN}, "learning_rate": 3e-3,
    },
}  # fmt: skip

BOUNDS = {f"fused_{name}_accuracy_difference": "<= 0.03" for name in SPECS}
FULL_BOUNDS = {f"fused_{name}_accuracy_difference": "<= 0.005" for name in SPECS}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """Means over the seeds, the mean's absolute difference, and how far the farthest pair is."""
    seeds = range(1, 1 + (SEEDS_QUICK if quick else SEEDS))
    found: dict[str, float | int | bool | None] = {"fused_paired_seeds": len(seeds)}
    with tempfile.TemporaryDirectory(prefix="lp-") as folder, runner(Path(folder)) as running:
        for name, spec in SPECS.items():
            trials = [
                trial_of({**spec, "seed": seed}, Path(folder) / f"{name}-{seed}", trial=seed)
                for seed in seeds
            ]
            fused = _together(running, trials)
            alone = [float(running.result(one).metrics["test_accuracy"]) for one in trials]
            pairs = [abs(one - other) for one, other in zip(fused, alone, strict=True)]
            found |= {
                f"fused_{name}_accuracy": round(mean(fused), 4),
                f"fused_{name}_accuracy_alone": round(mean(alone), 4),
                f"fused_{name}_accuracy_difference": round(abs(mean(fused) - mean(alone)), 4),
                f"fused_{name}_farthest_pair": round(max(pairs), 4),
            }
    return found


def _together(running: Runner, trials: list[protocol.TrialToRun]) -> list[float]:
    """Test accuracies of one group. Raises AssertionError when it was none."""
    running.send(protocol.Run(trials=tuple(trials), together=True))
    seen = running.until(lambda message: isinstance(message, protocol.Idle))
    started = [message for message in seen if isinstance(message, protocol.Started)]
    assert {one.environment.get("trained_together") for one in started} == {len(trials)}
    results = {one.trial: one for one in seen if isinstance(one, protocol.Result)}
    return [float(results[trial.trial].metrics["test_accuracy"]) for trial in trials]
