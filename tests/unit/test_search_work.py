"""How much is done to plan a large sweep, counted in calls: the same on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.search import Create, Row, advance
from labpool.spec import SweepSpec
from tests.support.simulated_sweep import METRIC, sweep

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
    "learning_rate_decay": {"low": 0.8, "high": 1.0},
    "batch_size": [16, 32, 64, 128],
}
PRUNERS = [None, "asha", "median"]
MOST_A_TRIAL = 400
"""Calls of Python functions; a million of them take about a tenth of a second and more."""


def calls(do: Callable[[], Any]) -> int:
    """How many functions of Python's own are called."""
    found = 0

    def hear(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(hear)
    try:
        do()
    finally:
        sys.setprofile(None)
    return found


def spec_of(method: str, trials: int, pruner: str | None) -> SweepSpec:
    more = {"pruner": {"method": pruner}} if pruner else {}
    return sweep({"method": method, "trials": trials, **more}, SPACE)


def rows_of(spec: SweepSpec, trials: int) -> list[Row]:
    """All but the last few have ended, four run."""
    values = [action.values for action in advance(spec, ()) if isinstance(action, Create)]
    return [
        Row(
            at, at, "running" if at < 4 else "succeeded", values[at % len(values)],
            {} if at < 4 else {METRIC: at / trials}, 0, {1: 0.1 + at / trials},
        )
        for at in range(trials - 16)
    ]  # fmt: skip


def test_it_works() -> None:
    def twice() -> None:
        for _ in range(2):
            rows_of(spec_of("qmc", 20, None), 20)

    assert calls(lambda: None) == 1
    assert calls(twice) > 100


@pytest.mark.parametrize("method", ["random", "qmc"])
@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_step_grows_with_its_trials_alone(method: str, pruner: str | None) -> None:
    """From 500 to 1,000 trials by no more than twice, at the beginning and near the end."""
    done: dict[tuple[int, bool], int] = {}
    for trials in (500, 1000):
        spec = spec_of(method, trials, pruner)
        rows = rows_of(spec, trials)
        done[trials, False] = calls(lambda spec=spec: advance(spec, ()))
        done[trials, True] = calls(lambda spec=spec, rows=rows: advance(spec, rows))
    for late in (False, True):
        assert done[1000, late] <= 2.2 * done[500, late] + 1000
        assert done[1000, late] <= 1000 * MOST_A_TRIAL


@pytest.mark.parametrize("method", ["grid", "random", "qmc", "tpe"])
def test_a_submission_grows_with_its_trials_alone(catalog: Catalog, method: str) -> None:
    base = {"kind": "train", "model": "mlp", "dataset": "digits"}

    def made(trials: int) -> None:
        space: Any = {"seed": list(range(trials // 50)), "batch_size": list(range(1, 51))}
        strategy = {"method": "grid"} if method == "grid" else {"method": method, "trials": trials}
        raw = {"kind": "sweep", "base": base, "strategy": strategy, "fuse": 8}
        found = plan({**raw, "space": space if method == "grid" else SPACE}, catalog)
        assert method == "tpe" or len(found.trials) == trials

    made(100)
    small, large = calls(lambda: made(500)), calls(lambda: made(1000))
    assert large <= 2.2 * small + 1000
    assert large <= 1000 * MOST_A_TRIAL
