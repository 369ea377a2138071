"""What a spec reaches over some seeds: the numbers on the pages of the catalog's models.

    python -m tests.bench.seeds catalog/models/lenet_tf/example.yaml parameters.pkeep=1.0

trains the spec with seeds 0 to 2 in one runner on one CPU thread, and prints the metrics of the
test split, their mean, and the seconds an epoch took. `NAME=VALUE` (YAML) sets a field of it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from labpool.reading import read_spec
from tests.support.runners import runner, trial_of


def with_fields(spec: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    """`spec` with `parameters.pkeep=1.0` and the like set in it."""
    changed = {**spec, "parameters": dict(spec.get("parameters", {}))}
    for field in fields:
        path, _, text = field.partition("=")
        head, _, name = path.partition(".")
        value = read_spec(text, "yaml")
        if name:
            changed[head] = {**changed.get(head, {}), name: value}
        else:
            changed[head] = value
    return changed


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("spec", type=Path)
    asked.add_argument("fields", nargs="*", metavar="NAME=VALUE")
    asked.add_argument("--seeds", type=int, default=3)
    chosen = asked.parse_args()
    spec = with_fields(read_spec(chosen.spec.read_text(encoding="utf-8"), "yaml"), chosen.fields)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, runner(Path(folder), "--light") as running:
        for seed in range(chosen.seeds):
            trial = trial_of({**spec, "seed": seed}, Path(folder) / str(seed), trial=seed + 1)
            metrics = running.result(trial).metrics
            metrics["epoch_seconds"] = metrics["train_seconds"] / metrics["epochs_run"]
            for name, value in metrics.items():
                if name.startswith("test_") or name == "epoch_seconds":
                    found.setdefault(name, []).append(value)
    for name, values in found.items():
        each = ", ".join(f"{value:.4f}" for value in values)
        print(f"{name}: mean {statistics.mean(values):.4f} of {each}")


if __name__ == "__main__":
    main()
