"""Which trials can be trained together, as planning sees it, and what a spec may say of it."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from labpool.catalog import Catalog
from labpool.errors import SpecError
from labpool.fusing import fixed_parameters, fuse_of
from labpool.parameters import PARAMETERS
from labpool.planning import Plan, plan
from labpool.reading import read_spec
from labpool.settings import CHECKOUT
from labpool.spec import spec_schema

CATALOG = Catalog.load([CHECKOUT / "catalog"])
TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits"}
SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": TRAIN,
    "strategy": {"method": "grid"},
    "space": {
        "learning_rate": [1e-2, 1e-3],
        "learning_rate_decay": [1.0, 0.9],
        "seed": [1, 2],
        "early_stopping_patience": [2, 3],
    },
    "fuse": 8,
}


def planned(**changes: Any) -> Plan:
    return plan({**SWEEP, **changes}, CATALOG)


def keys(**changes: Any) -> list[str | None]:
    return [trial.fuse_key for trial in planned(**changes).trials]


def refused(raw: Any) -> dict[str, str]:
    with pytest.raises(SpecError) as caught:
        plan(raw, CATALOG)
    return {item.pointer: f"{item.message} {item.suggestion}" for item in caught.value.problems}


def test_it_works() -> None:
    [key] = set(keys())
    assert key is not None
    made = planned()
    assert fuse_of(made.spec) == 8
    assert all("fuse" not in trial.spec for trial in made.trials)
    jsonschema.validate(SWEEP, spec_schema())


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("parameters.hidden", [[8], [16]]),
        ("parameters.activation", ["relu", "tanh"]),
        ("dataset", ["digits", "spirals"]),
        ("batch_size", [16, 32]),
        ("optimizer", ["sgd", "adam"]),
        ("epochs", [2, 3]),
        ("device", ["cpu", "gpu"]),
    ],
)
def test_what_makes_trials_strangers(path: str, values: list[Any]) -> None:
    found = keys(space={path: values, "seed": [1, 2]})
    assert len(set(found)) == 2 and None not in found


@pytest.mark.parametrize(
    "base",
    [
        {**TRAIN, "engine": "fit"},
        {**TRAIN, "init_from": f"3@{'0' * 64}"},
        {"kind": "train", "model": "dqn"},
    ],
    ids=["engine", "init_from", "program"],
)
def test_what_is_never_trained_together(base: dict[str, Any]) -> None:
    assert set(keys(base=base, space={"seed": [1, 2]})) == {None}


@pytest.mark.parametrize(
    ("model", "path", "values", "groups"),
    [
        ("mlp", "parameters.dropout", [0.1, 0.2, 0.5], 1),
        # Without dropout nothing is drawn: the network has not that layer.
        ("mlp", "parameters.dropout", [0.0, 0.2, 0.5], 2),
        ("keras_cnn", "parameters.dropout_dense", [0.1, 0.5], 1),
    ],
)
def test_dropout_is_a_members_own(model: str, path: str, values: list[Any], groups: int) -> None:
    found = keys(base={**TRAIN, "model": model}, space={path: values, "seed": [1, 2]})
    assert len(set(found)) == groups and None not in found


def test_what_a_group_has_in_common_of_a_models_parameters() -> None:
    declared = PARAMETERS.validate_python({
        "width": {"type": "integer", "default": 4, "meaning": "."},
        "spread": {"type": "number", "default": 0.1, "meaning": ".", "fused": "start"},
        "share": {"type": "number", "default": 0.1, "meaning": ".", "fused": "chance"},
    })  # fmt: skip
    given = {"width": 8, "spread": 0.3, "share": 0.2}
    assert fixed_parameters(given, declared) == {"width": 8, "share": True}


@pytest.mark.parametrize("said", [None, "off"])
def test_it_is_off_where_nothing_is_said(said: str | None) -> None:
    """And then the trials are what they were before there was a choice."""
    assert set(keys(fuse=said)) == {None}


def test_the_base_may_say_it_and_a_sweep_goes_before_it() -> None:
    base = {**TRAIN, "fuse": "auto"}
    raw = {name: value for name, value in SWEEP.items() if name != "fuse"}
    assert fuse_of(plan({**raw, "base": base}, CATALOG).spec) == "auto"
    assert fuse_of(planned(base=base).spec) == 8
    assert set(keys(base=base, fuse="off")) == {None}
    repeated = plan({**base, "repeat": 3}, CATALOG)
    assert len(repeated.trials) == 3
    assert len({trial.fuse_key for trial in repeated.trials}) == 1


@pytest.mark.parametrize("said", [1, 65, "on", True, 2.0, "8"])
def test_what_it_cannot_be(said: Any) -> None:
    assert "off, auto, or a whole number from 2 to 64" in refused({**SWEEP, "fuse": said})["/fuse"]
    base = {**TRAIN, "fuse": said}
    assert "/base/fuse" in refused({**SWEEP, "base": base})


def test_benchmarks_are_timed_one_at_a_time() -> None:
    base = {"kind": "benchmark", "kernel": "dense_relu"}
    found = refused({**SWEEP, "base": base, "space": {"seed": [1, 2]}})
    assert "one at a time" in found["/fuse"]


def test_nothing_varies_in_it() -> None:
    assert "/space/fuse" in refused({**SWEEP, "space": {"fuse": [2, 4]}})


def test_off_is_a_word_in_yaml() -> None:
    assert read_spec("fuse: off", "yaml") == {"fuse": "off"}
