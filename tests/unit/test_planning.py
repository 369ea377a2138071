"""Specs against the catalog: what is accepted, what it comes to, and how a refusal reads."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labpool import sweeping
from labpool.catalog import Catalog
from labpool.errors import SpecError
from labpool.planning import plan
from labpool.settings import CHECKOUT
from labpool.spec import spec_schema

CATALOG = Catalog.load([CHECKOUT / "catalog"])
TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits"}
SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": TRAIN,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [1e-2, 1e-3], "parameters.activation": ["relu", "tanh"]},
}
BENCHMARK: dict[str, Any] = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}


def refused(raw: Any) -> dict[str, str]:
    """Pointer to message and suggestion of everything that is wrong."""
    with pytest.raises(SpecError) as caught:
        plan(raw, CATALOG)
    return {item.pointer: f"{item.message} {item.suggestion}" for item in caught.value.problems}


def pointers_of(raw: Any) -> list[str]:
    """The pointers of what is wrong; none when the spec is accepted."""
    try:
        plan(raw, CATALOG)
    except SpecError as error:
        return [problem.pointer for problem in error.problems]
    return []


@pytest.mark.parametrize("raw", [TRAIN, SWEEP, BENCHMARK], ids=["train", "sweep", "benchmark"])
def test_it_works(raw: dict[str, Any]) -> None:
    before = copy.deepcopy(raw)
    made = plan(raw, CATALOG)
    assert made.kind == raw["kind"]
    assert raw == before
    jsonschema.validate(raw, spec_schema())


def test_defaults_come_from_the_model_then_from_labpool() -> None:
    [trial] = plan(TRAIN, CATALOG).trials
    defaults = CATALOG.models["mlp"].defaults
    assert trial.spec["learning_rate"] == defaults.learning_rate
    assert trial.spec["learning_rate_decay"] == 1.0
    assert trial.spec["parameters"]["hidden"] == [64, 64]
    assert trial.spec["seed"] == trial.seed == 0
    assert trial.code_digest == CATALOG.models["mlp"].digest
    assert trial.data_digest == CATALOG.datasets["digits"].digest


def test_a_grid_is_every_combination_in_order() -> None:
    trials = plan(SWEEP, CATALOG).trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [tuple(trial.varied.values()) for trial in trials] == [
        (rate, activation) for rate in (1e-2, 1e-3) for activation in ("relu", "tanh")
    ]
    assert trials[1].spec["parameters"]["activation"] == "tanh"
    assert trials[1].spec["parameters"]["hidden"] == [64, 64]


def test_a_range_in_a_grid_keeps_its_ends() -> None:
    space = {"learning_rate": {"low": 1e-4, "high": 1e-1, "scale": "log", "steps": 4}}
    rates = [t.varied["learning_rate"] for t in plan({**SWEEP, "space": space}, CATALOG).trials]
    assert rates == [1e-4, pytest.approx(1e-3), pytest.approx(1e-2), 1e-1]


def test_random_draws_are_stable_and_a_longer_sweep_begins_with_the_shorter() -> None:
    space = {
        "learning_rate": {"low": 1e-4, "high": 1e-1, "scale": "log"},
        "batch_size": {"low": 16, "high": 64},
        "optimizer": ["adam", "sgd"],
    }

    def draws(trials: int, seed: int) -> list[dict[str, Any]]:
        strategy = {"method": "random", "trials": trials, "seed": seed}
        made = plan({**SWEEP, "space": space, "strategy": strategy}, CATALOG)
        return [dict(trial.varied) for trial in made.trials]

    long = draws(50, 1)
    assert draws(5, 1) == long[:5]
    assert draws(5, 2) != long[:5]
    assert all(1e-4 <= draw["learning_rate"] <= 1e-1 for draw in long)
    assert all(16 <= draw["batch_size"] <= 64 for draw in long)
    assert {type(draw["batch_size"]) for draw in long} == {int}
    assert len({draw["learning_rate"] for draw in long}) == 50


def test_every_problem_is_named_at_once() -> None:
    found = refused(
        {
            "kind": "train",
            "model": "mpl",
            "dataset": "digits",
            "epoch": 3,
            "learning_rate": -1,
            "batch_size": "32",
            "tags": ["fine", "not fine"],
            "seed": True,
        }
    )
    assert set(found) == {
        "/model", "/epoch", "/learning_rate", "/batch_size", "/tags/1", "/seed",
    }  # fmt: skip
    assert "Did you mean 'mlp'?" in found["/model"]
    assert "Did you mean 'epochs'?" in found["/epoch"]
    assert "without quotes" in found["/batch_size"]


@pytest.mark.parametrize(
    ("raw", "pointer", "words"),
    [
        ([], "", "table"),
        ({}, "/kind", "missing"),
        ({"kind": "trian"}, "/kind", "Did you mean 'train'?"),
        ({**TRAIN, "parameters": {"hiden": [3]}}, "/parameters/hiden", "Did you mean 'hidden'?"),
        ({**TRAIN, "parameters": {"hidden": [0]}}, "/parameters/hidden", "at least 1"),
        ({**TRAIN, "parameters": {"dropout": float("nan")}}, "/parameters/dropout", "finite"),
        ({**TRAIN, "parameters": {"dropout": 10**400}}, "/parameters/dropout", "finite"),
        ({**TRAIN, "parameters": {"hidden": [10**400]}}, "/parameters/hidden", "64 bits"),
        ({**BENCHMARK, "sizes": {"batch": 10**400}}, "/sizes/batch", "64 bits"),
        ({**BENCHMARK, "launch": {"warps": -(10**400)}}, "/launch/warps", "64 bits"),
        ({**SWEEP, "space": {"seed": {"low": 1, "high": 10**400, "steps": 5}}},
         "/space/seed/high", "at most"),
        ({**TRAIN, "parameters": []}, "/parameters", "table"),
        ({**TRAIN, "model": "lenet5", "dataset": "spirals"}, "/dataset", "no images"),
        ({**TRAIN, "model": "../secret"}, "/model", "name from the catalog"),
        ({**BENCHMARK, "sizes": {"batch": 10**12}}, "/sizes/batch", "at most"),
        ({**BENCHMARK, "dtype": "int8"}, "/dtype", "float32"),
        ({**SWEEP, "space": {}}, "/space", ""),
        ({**SWEEP, "space": {"epochs": [0]}}, "/space/epochs/0", "at least 1"),
        ({**SWEEP, "space": {"epochs": [1, 1]}}, "/space/epochs/1", "twice"),
        ({**SWEEP, "space": {"name": ["a"]}}, "/space/name", "nothing that a trial can vary"),
        ({**SWEEP, "space": {"parameters": [{}]}}, "/space/parameters", ""),
        ({**SWEEP, "space": {"model": ["mlp", "nope"]}}, "/space/model/1", "no model"),
        ({**SWEEP, "space": {"epochs": {"low": 1, "high": 9}}}, "/space/epochs", "steps"),
        ({**SWEEP, "space": {"epochs": {"low": 9, "high": 1}}}, "/space/epochs", "less than"),
        ({**SWEEP, "space": {"epochs": list(range(1, 1001)), "seed": list(range(1000))}},
         "/space", "1000000 trials"),
        ({**SWEEP, "strategy": {"method": "random", "trials": 5000}}, "/strategy/trials", "5000"),
        ({**SWEEP, "strategy": {"method": "gird"}}, "/strategy/method", "Did you mean 'grid'?"),
        ({**SWEEP, "strategy": {}}, "/strategy/method", "missing"),
        ({**SWEEP, "base": SWEEP}, "/base/kind", "train, benchmark"),
        ({**SWEEP, "base": {**TRAIN, "epochs": 0}}, "/base/epochs", "at least 1"),
        ({**SWEEP, "base": {**TRAIN, "device": ["cpu"]}}, "/base/device", ""),
        ({**SWEEP, "base": {**TRAIN, "model": "lenet5"},
          "space": {"dataset": ["digits", "spirals"]}}, "/space/dataset/1", "no images"),
    ],
)  # fmt: skip
def test_what_is_refused(raw: Any, pointer: str, words: str) -> None:
    found = refused(raw)
    assert pointer in found
    assert words in found[pointer]


def test_checking_a_large_bad_space_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    check = sweeping.form_problems
    monkeypatch.setattr(
        sweeping, "form_problems", lambda *arguments: looked.append(1) or check(*arguments)
    )
    bad_base = {**TRAIN, **{f"wrong{number}": 1 for number in range(200)}}
    space = {f"parameters.wrong{number}": list(range(1000)) for number in range(200)}
    found = pointers_of({**SWEEP, "base": bad_base, "space": space})
    assert "/space" in found
    assert len(looked) <= 200


def test_a_value_of_an_axis_may_mend_nothing_else() -> None:
    assert set(refused({**SWEEP, "base": {**TRAIN, "epochs": 0}})) == {"/base/epochs"}


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=4), st.integers()),
)  # fmt: skip


@given(st.sampled_from(sorted(TRAIN | {"epochs": 1, "device": 1, "seed": 1, "tags": 1})), VALUES)
def test_one_wrong_field_is_the_one_that_is_named(field: str, value: Any) -> None:
    for named in pointers_of({**TRAIN, field: value}):
        assert named.startswith(f"/{field}")


@given(st.text(min_size=1, max_size=12).filter(lambda name: name not in ("kind", "model")))
def test_an_unknown_axis_is_named(path: str) -> None:
    escaped = path.replace("~", "~0").replace("/", "~1")
    for named in pointers_of({**SWEEP, "space": {path: ["x", 2]}}):
        assert named.split("/")[2] == escaped


def test_a_trace_key_tells_what_is_frozen_into_a_trace(catalog: Catalog) -> None:
    base = {"kind": "train", "model": "mlp", "dataset": "digits"}

    def key(**changes: Any) -> str | None:
        return plan({**base, **changes}, catalog).trials[0].trace_key

    assert key() == key(seed=3, learning_rate=0.5, learning_rate_decay=0.9, epochs=2, name="x")
    different = [
        key(), key(batch_size=7), key(optimizer="sgd"), key(parameters={"hidden": [3]}),
        key(dataset="spirals"), key(model="softmax"), key(engine="fit"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert plan({"kind": "benchmark", "kernel": "dense_relu"}, catalog).trials[0].trace_key is None


@pytest.mark.parametrize("n", [500_000_001, 10**12])
def test_a_size_out_of_range_is_written_in_full(n: int) -> None:
    """With six digits the least that is too much reads as what is allowed."""
    spec = {"kind": "benchmark", "kernel": "saxpy", "device": "cpu", "sizes": {"n": n}}
    with pytest.raises(SpecError, match=f"must be at most 500,000,000, not {n:,}"):
        plan(spec, CATALOG)
