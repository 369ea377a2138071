"""What a spec says of its beginning, before anybody looks into a database."""

from __future__ import annotations

from typing import Any

import jsonschema
import numpy as np
import pytest

from labpool.catalog import Catalog
from labpool.errors import SpecError
from labpool.origins import Origin, begun_from
from labpool.planning import plan
from labpool.spec import spec_schema
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading

TRAIN: dict[str, Any] = {"kind": "train", "model": "transfer", "dataset": "digits"}
SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize("written", [12, "12"])
def test_a_trial_is_named_by_its_number(written: Any, catalog: Catalog) -> None:
    [trial] = plan({**TRAIN, "init_from": written}, catalog).trials
    assert begun_from(trial.spec) == Origin(12)


def test_a_checkpoint_is_named_by_its_digest(catalog: Catalog) -> None:
    pinned = Origin(12, SHA256)
    [trial] = plan({**TRAIN, "init_from": str(pinned)}, catalog).trials
    assert begun_from(trial.spec) == pinned
    assert begun_from(TRAIN) is None


def test_only_what_is_frozen_is_traced_into_a_step(catalog: Catalog) -> None:
    def key(**changes: Any) -> str | None:
        return plan({**TRAIN, **changes}, catalog).trials[0].trace_key

    assert key() == key(init_from=12) == key(init_from=12, fresh=["head"]) == key(freeze=[])
    assert key() != key(freeze=["a"]) != key(freeze=["b"])
    assert key(freeze=["a", "b"]) == key(freeze=["b", "a", "b"])


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"freeze": "head"}, "/freeze"),
        ({"freeze": [""]}, "/freeze/0"),
        ({"freeze": ["a\nb"]}, "/freeze/0"),
        ({"fresh": [3]}, "/fresh/0"),
        ({"freeze": ["x"] * 257}, "/freeze"),
    ],
)
def test_what_names_no_layers_is_refused(
    changes: dict[str, Any], pointer: str, catalog: Catalog
) -> None:
    with pytest.raises(SpecError) as caught:
        plan({**TRAIN, **changes}, catalog)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def sweep_of(**space: Any) -> dict[str, Any]:
    return {"kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"}, "space": space}


def test_a_sweep_makes_a_trial_of_each_list(catalog: Catalog) -> None:
    raw = sweep_of(freeze=[[], ["base_norm", "base_conv1"]], fresh=[["head"], []])
    jsonschema.validate(raw, spec_schema())
    trials = plan(raw, catalog).trials
    assert [(trial.spec.get("freeze"), trial.spec.get("fresh")) for trial in trials] == [
        (None, ["head"]),
        (None, None),
        (["base_conv1", "base_norm"], ["head"]),
        (["base_conv1", "base_norm"], None),
    ]
    assert trials[2].varied == {"freeze": ["base_norm", "base_conv1"], "fresh": ["head"]}
    # What is frozen is traced into a step, what begins anew is not.
    assert len({trial.trace_key for trial in trials}) == 2
    strategy = {"method": "random", "trials": 20}
    drawn = plan({**raw, "strategy": strategy}, catalog).trials
    assert {len(trial.spec.get("freeze", [])) for trial in drawn} == {0, 2}


def test_a_sweep_over_layers_takes_the_place_of_its_base(catalog: Catalog) -> None:
    raw = sweep_of(freeze=[[], ["head"]])
    raw["base"] = {**TRAIN, "freeze": ["base_norm"]}
    found = [trial.spec.get("freeze") for trial in plan(raw, catalog).trials]
    assert found == [None, ["head"]]


@pytest.mark.parametrize(
    ("axis", "at", "words"),
    [
        (["a", "b"], "0", "must be a list. Write [a]."),
        ([["a"], ["a\nb"]], "1", "must hold no control characters."),
        ([["a"], [1]], "1", "must be text."),
        ([["a"], ["b"] * 257], "1", "at most 256"),
        ([["a", "b"], ["b", "a"]], "1", '["b", "a"] stands in the list twice.'),
        ([[["a"]]], "0", "must be"),
        ({"low": 1, "high": 2, "steps": 2}, "low", "must be a list."),
    ],
)
def test_what_is_no_axis_of_layers_is_refused(
    axis: Any, at: str, words: str, catalog: Catalog
) -> None:
    with pytest.raises(SpecError) as caught:
        plan(sweep_of(freeze=axis), catalog)
    problem = caught.value.problems[0]
    assert problem.pointer.startswith(f"/space/freeze/{at}")
    assert words in f"{problem.message} {problem.suggestion}"


def test_the_schema_takes_both_forms() -> None:
    one = spec_schema()["$defs"]["TrainSpec"]["properties"]["init_from"]
    assert {"string", "integer"} <= set(str(one).replace("'", " ").split())


def test_halves_of_the_digits_are_the_digits() -> None:
    entry = CATALOG.datasets["digits"]
    load = loading.load(reference_to(entry), entry.path.with_suffix(".py"), "load").load
    whole, low, high = (load({"labels": name}) for name in ("all", "low", "high"))
    assert (whole.classes, low.classes, high.classes) == (10, 5, 5)
    assert (len(low.y), len(high.y)) == (901, 896)
    assert np.array_equal(low.x, whole.x[whole.y < 5])
    assert np.array_equal(low.y, whole.y[whole.y < 5])
    assert np.array_equal(high.x, whole.x[whole.y >= 5])
    assert np.array_equal(high.y, whole.y[whole.y >= 5] - 5)
