"""What is submitted in the tests of the state machine."""

from __future__ import annotations

from dataclasses import replace

from labpool.catalog import Catalog
from labpool.planning import Plan, plan
from labpool.settings import CHECKOUT

FUSE_KEY = "f" * 64
_SINGLE = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 9}
_SWEEP = {
    "kind": "sweep",
    "base": _SINGLE,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.1, 0.2, 0.3]},
}
_BENCHMARK = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}


def plans() -> dict[str, Plan]:
    """What is submitted: one trial, three that can be trained together, a benchmark."""
    catalog = Catalog.load([CHECKOUT / "catalog"])
    sweep = plan(_SWEEP, catalog)
    group = replace(sweep, trials=tuple(replace(t, fuse_key=FUSE_KEY) for t in sweep.trials))
    return {
        "single": plan(_SINGLE, catalog),
        "group": group,
        "benchmark": plan(_BENCHMARK, catalog),
    }
