"""`repeat` in a spec: which trials it makes, and what is refused."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from db.trial_rows import configuration_digest
from labpool.catalog import Catalog
from labpool.errors import SpecError
from labpool.planning import Plan, plan
from labpool.settings import CHECKOUT
from labpool.spec import spec_schema
from labpool.strict import MOST_SEED

CATALOG = Catalog.load([CHECKOUT / "catalog"])
TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits"}
FIVE: dict[str, Any] = {**TRAIN, "repeat": 5, "seed": 7}
SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {**TRAIN, "repeat": 3},
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.1, 0.01]},
}


def made(raw: dict[str, Any], most: int = 1000) -> Plan:
    jsonschema.validate(raw, spec_schema())
    return plan(raw, CATALOG, most)


def refused(raw: dict[str, Any], most: int = 1000) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        plan(raw, CATALOG, most)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def test_it_works() -> None:
    trials = made(FIVE).trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.seed for trial in trials] == [7, 8, 9, 10, 11]
    assert [trial.spec["seed"] for trial in trials] == [7, 8, 9, 10, 11]
    assert [dict(trial.varied) for trial in trials] == [{"seed": seed} for seed in range(7, 12)]
    assert len({configuration_digest(trial.spec) for trial in trials}) == 1


def test_a_repeated_trial_is_the_one_that_a_single_spec_makes() -> None:
    alone = made({**TRAIN, "seed": 9}).trials[0]
    assert made(FIVE).trials[2].spec == alone.spec
    assert made({**TRAIN, "repeat": 1}).trials == made(TRAIN).trials
    assert "repeat" not in alone.spec


def test_each_point_of_a_sweep_is_repeated() -> None:
    trials = made(SWEEP).trials
    assert [trial.number for trial in trials] == list(range(6))
    assert [(trial.varied["learning_rate"], trial.seed) for trial in trials] == [
        (rate, seed) for rate in (0.1, 0.01) for seed in (0, 1, 2)
    ]
    drawn = made({**SWEEP, "strategy": {"method": "random", "trials": 4}}).trials
    assert [trial.seed for trial in drawn] == [0, 1, 2] * 4
    assert [trial.number for trial in drawn] == list(range(12))
    assert len({trial.varied["learning_rate"] for trial in drawn[:3]}) == 1


@pytest.mark.parametrize("count", [0, -1, 51, 2.0, True, "5", None])
def test_a_count_out_of_range_is_named(count: object) -> None:
    assert list(refused({**TRAIN, "repeat": count})) == ["/repeat"]
    assert list(refused({**SWEEP, "base": {**TRAIN, "repeat": count}})) == ["/base/repeat"]


def test_limits_count_every_trial() -> None:
    assert "5 trials, where a submission may have 4" in refused(FIVE, most=4)["/repeat"]
    assert "2 times 3 trials" in refused(SWEEP, most=5)["/space"]
    random = {**SWEEP, "strategy": {"method": "random", "trials": 4}}
    assert "4 times 3 trials" in refused(random, most=11)["/strategy/trials"]
    assert len(made(SWEEP, most=6).trials) == 6


def test_a_seed_is_counted_on_by_one_of_the_two_alone() -> None:
    assert "the space varies too" in refused({**SWEEP, "space": {"seed": [1, 2]}})["/base/repeat"]


def test_repeat_itself_is_nothing_to_vary() -> None:
    assert list(refused({**SWEEP, "base": TRAIN, "space": {"repeat": [1, 2]}})) == ["/space/repeat"]


def test_seeds_end_where_seeds_end() -> None:
    assert [trial.seed for trial in made({**FIVE, "seed": MOST_SEED - 4}).trials][-1] == MOST_SEED
    assert "past the largest" in refused({**FIVE, "seed": MOST_SEED - 3})["/repeat"]
    assert list(refused({**FIVE, "seed": MOST_SEED + 1})) == ["/seed"]


def test_a_benchmark_repeats_nothing() -> None:
    spec = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu", "repeat": 2}
    assert list(refused(spec)) == ["/repeat"]
