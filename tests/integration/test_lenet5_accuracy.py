"""The promise of the catalog's first network, with nothing but its defaults."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from tests.support.runners import runner, trial_of

SEEDS = (0, 1, 2, 3, 4)


def test_lenet5_reads_digits(tmp_path: Path) -> None:
    spec = {"kind": "train", "model": "lenet5", "dataset": "digits", "device": "cpu"}
    with runner(tmp_path / "home", "--light") as running:
        results = [
            running.result(trial_of({**spec, "seed": seed}, tmp_path / str(seed))) for seed in SEEDS
        ]
    accuracies = [result.metrics["test_accuracy"] for result in results]
    assert mean(accuracies) >= 0.965, accuracies
    assert min(accuracies) >= 0.95, accuracies
