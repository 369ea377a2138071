"""What is submitted in the tests of the state machine."""

from __future__ import annotations

from dataclasses import replace

from db.groups import Sizes
from labpool.catalog import Catalog
from labpool.planning import Plan, plan
from labpool.settings import CHECKOUT
from tests.faults.expected_groups import Measured

FUSE_KEY, TRACE_KEY = "f" * 64, "e" * 64
_SINGLE = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 9}
_SWEEP = {
    "kind": "sweep",
    "base": _SINGLE,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.1, 0.2, 0.3]},
}
_BENCHMARK = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}


# How many a slot would train together: a number, or what it has measured.
MEASURED = (Measured(), Measured(3), Measured(3, unfit=True))
WANTED: tuple[int | Measured, ...] = (1, 2, 3, *MEASURED)
# What a sweep says of training its trials together.
GROUPS: dict[str, int | str] = {"group": 2, "measured group": "auto", "unfused group": "off"}


def _group(sweep: Plan, fuse: int | str) -> Plan:
    trials = tuple(replace(trial, fuse_key=FUSE_KEY, trace_key=TRACE_KEY) for trial in sweep.trials)
    return replace(sweep, trials=trials, spec={**sweep.spec, "fuse": fuse})


def plans() -> dict[str, Plan]:
    """What is submitted: one trial, three that can be trained together and how, a benchmark."""
    catalog = Catalog.load([CHECKOUT / "catalog"])
    sweep = plan(_SWEEP, catalog)
    return {
        "single": plan(_SINGLE, catalog),
        **{name: _group(sweep, fuse) for name, fuse in GROUPS.items()},
        "benchmark": plan(_BENCHMARK, catalog),
    }


def sizes(wanted: int | Measured) -> int | Sizes:
    """What a slot says of it when it claims."""
    if isinstance(wanted, int):
        return wanted
    auto = {} if wanted.auto is None else {TRACE_KEY: wanted.auto}
    return Sizes(auto, {TRACE_KEY} if wanted.unfit else ())
