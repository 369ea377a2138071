"""Where trials come from: in the space, once each, the same from the same seed, in time."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from statistics import mean

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from labpool.search import STRATEGIES, Create, Row, advance, count
from labpool.spec import Range
from tests.support.simulated_sweep import METRIC, Pool, sweep
from tests.support.surfaces import hill

SLOWLY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
COUNTED = [method for method in STRATEGIES if method != "grid"]
RATE = {"low": 1e-4, "high": 1.0, "scale": "log"}


@some.composite
def ranges(draw):
    scale = draw(some.sampled_from(["linear", "log"]))
    if draw(some.booleans()):
        low = draw(some.integers(1 if scale == "log" else -50, 50))
        return {"low": low, "high": low + draw(some.integers(1, 500)), "scale": scale}
    low = draw(some.floats(1e-6 if scale == "log" else -1e3, 1e3))
    return {"low": low, "high": low + draw(some.floats(1e-3, 1e4)), "scale": scale}


lists = some.lists(
    some.one_of(some.booleans(), some.integers(-5, 5), some.sampled_from(["relu", "tanh"])),
    min_size=1,
    max_size=5,
    unique_by=json.dumps,
)
spaces = some.dictionaries(
    some.sampled_from(["learning_rate", "batch_size", "parameters.units", "parameters.rate"]),
    some.one_of(lists, ranges()),
    min_size=1,
)


def test_it_works():
    pool = Pool(sweep({"method": "tpe", "trials": 40, "seed": 3}, length=3), hill).run()
    assert pool.states() == {"succeeded": 40}
    assert sorted(row.number for row in pool.rows.values()) == list(range(40))


@pytest.mark.parametrize("method", COUNTED)
@given(space=spaces, seed=some.integers(0, 2**31 - 1), trials=some.integers(1, 24))
@SLOWLY
def test_every_trial_is_in_the_space_and_each_number_is_made_once(method, space, seed, trials):
    more = {"startup_trials": 3, "at_once": 4} if method == "tpe" else {}
    spec = sweep({"method": method, "trials": trials, "seed": seed, **more}, space, length=2)
    pool = Pool(spec, lambda values, epoch: len(json.dumps(values)) / (1 + epoch)).run()
    assert (
        sorted(row.number for row in pool.rows.values())
        == list(range(trials))
        == list(range(count(spec)))
    )
    for row in pool.rows.values():
        assert list(row.values) == list(spec.space)
        for path, axis in spec.space.items():
            value = row.values[path]
            if not isinstance(axis, Range):
                assert json.dumps(value) in [json.dumps(one) for one in axis]
                continue
            assert axis.low <= value <= axis.high
            assert type(value) is type(axis.low) or type(axis.low) is not type(axis.high)
    again = Pool(spec, lambda values, epoch: len(json.dumps(values)) / (1 + epoch)).run()
    assert again.rows == pool.rows


@pytest.mark.parametrize("method", ["random", "qmc"])
def test_a_longer_sweep_begins_with_the_shorter_ones_trials(method):
    space = {"learning_rate": RATE, "batch_size": [16, 32, 64]}
    short, long = (
        advance(sweep({"method": method, "trials": trials, "seed": 5}, space), ())
        for trials in (20, 50)
    )
    assert long[:20] == short and len(long) == 50
    other = advance(sweep({"method": method, "trials": 20, "seed": 6}, space), ())
    assert other != short


@pytest.mark.parametrize("method", COUNTED)
def test_an_ended_sweep_goes_on_when_trials_are_added(method):
    first = Pool(sweep({"method": method, "trials": 20}, length=3), hill).run()
    more = Pool(sweep({"method": method, "trials": 35}, length=3), hill, rows=first.rows).run()
    assert sorted(row.number for row in more.rows.values()) == list(range(35))
    assert more.states() == {"succeeded": 35}


def test_whole_numbers_get_their_fair_part_at_both_ends():
    space = {"batch_size": {"low": 1, "high": 4}, "parameters.units": {"low": 1, "high": 2}}
    made = advance(sweep({"method": "qmc", "trials": 960}, space), ())
    found = [create.values["batch_size"] for create in made if isinstance(create, Create)]
    assert [found.count(value) for value in (1, 2, 3, 4)] == pytest.approx([240] * 4, abs=4)


def test_qmc_fills_the_space_more_evenly_than_chance():
    from scipy.stats import qmc

    space = {f"parameters.a{at}": {"low": 0.0, "high": 1.0} for at in range(6)}
    of = {}
    for method in ("random", "qmc"):
        found = []
        for seed in range(5):
            made = advance(sweep({"method": method, "trials": 256, "seed": seed}, space), ())
            found.append(qmc.discrepancy([list(create.values.values()) for create in made]))
        of[method] = mean(found)
    assert of["qmc"] < 0.25 * of["random"]


def test_tpe_looks_where_trials_did_well():
    better = 0
    for seed in range(6):
        best = {}
        for method in ("random", "tpe"):
            space = {
                "learning_rate": RATE,
                "batch_size": {"low": 1, "high": 256, "scale": "log"},
                "parameters.kind": ["a", "b", "c"],
            }
            spec = sweep({"method": method, "trials": 60, "seed": seed}, space, length=1)

            def curve(values, epoch):
                off = abs(values["batch_size"] - 32) / 256 + (values["parameters.kind"] != "b")
                return hill(values, 6) - off

            pool = Pool(spec, curve).run()
            late = [row for row in pool.rows.values() if row.number >= 30]
            best[method] = mean(row.metrics[METRIC] for row in late)
        better += best["tpe"] > best["random"] + 0.2
    assert better == 6


def test_tpe_keeps_at_once_waiting_or_running():
    spec = sweep({"method": "tpe", "trials": 100, "at_once": 8}, length=2)
    pool = Pool(spec, hill, slots=3)
    most = 0
    while len(pool.rows) < 100:
        pool.run(1)
        moving = [row for row in pool.rows.values() if row.state in {"queued", "running"}]
        most = max(most, len(moving))
        assert 4 < len(moving) <= 8
    assert most == 8


def test_a_sweep_of_a_thousand_trials_is_planned_within_a_second():
    space = {
        "learning_rate": RATE,
        "learning_rate_decay": {"low": 0.8, "high": 1.0},
        "batch_size": [16, 32, 64, 128],
        "parameters.units": {"low": 8, "high": 512, "scale": "log"},
    }
    took = {}
    for method in COUNTED:
        for pruner in ({}, {"pruner": {"method": "asha"}}, {"pruner": {"method": "median"}}):
            spec = sweep({"method": method, "trials": 1000, **pruner}, space)
            begun = time.process_time()
            made = advance(spec, ())
            took[method, len(pruner), "begin"] = time.process_time() - begun
            values = [create.values for create in made if isinstance(create, Create)]
            values = [values[at % len(values)] for at in range(1000)]
            rows = [
                Row(at, at, "succeeded", values[at], {METRIC: at / 1000}, 0, {1: 0.1, 3: 0.2})
                for at in range(984)
            ]
            rows += [
                replace(row, state="running", metrics={}, reports={1: 0.3}) for row in rows[:4]
            ]
            rows = [replace(row, trial_id=at, number=at) for at, row in enumerate(rows)]
            if method == "tpe":
                import labpool.search.estimator  # noqa: F401 - once a process
            begun = time.process_time()
            advance(spec, rows)
            took[method, len(pruner), "go on"] = time.process_time() - begun
    assert max(took.values()) < 1.0, took


def test_a_sweep_is_submitted_without_loading_optuna():
    code = (
        "import sys; from labpool.search import advance; from tests.support.simulated_sweep import "
        "sweep; made = advance(sweep({'method': 'tpe', 'trials': 500}), ()); "
        "print(len(made), 'optuna' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["16", "False", "False"]
