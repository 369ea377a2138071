"""A sweep from a script or a notebook: submit it, wait, look at the curves.

Run it beside a running `labpool up`: .venv/bin/python examples/notebook.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from labpool import Client

SPEC = Path(__file__).with_name("lenet5_sweep.yaml")


def main() -> None:
    """Submit the sweep beside this file and print each trial's best validation accuracy."""
    with Client() as client:
        submission = client.submit(SPEC)
        experiment = client.wait(submission.id)
        for trial in client.trials(experiment.id):
            curve = client.curves(trial.id).get("val_accuracy")
            values = [value for value in curve.values if value is not None] if curve else []
            best = max(values, default=float("nan"))
            sys.stdout.write(f"trial {trial.id} {trial.varied}: {trial.state}, best {best:.4f}\n")


if __name__ == "__main__":
    main()
