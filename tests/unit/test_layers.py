"""Lists of layers: what a spec may list, and what is refused before anything is built."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import Any

import pytest

from api.forms.build import build
from api.forms.fields import Field
from api.forms.text import spec_text
from labpool import layers
from labpool.catalog import Catalog
from labpool.errors import Problem, SpecError
from labpool.layer_kinds import KINDS
from labpool.parameters import fill
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.sdk import Unsuitable
from labpool.settings import CHECKOUT

CATALOG = Catalog.load([CHECKOUT / "catalog"])
FLAT: dict[str, Any] = {"type": "Flatten"}
SLIDE: list[dict[str, Any]] = read_spec(
    (CHECKOUT / "catalog/models/layers/example.yaml").read_text(), "yaml"
)["parameters"]["layers"]


def spec_of(listed: Any, **more: Any) -> dict[str, Any]:
    given = {"kind": "train", "model": "layers", "dataset": "digits", **more}
    return {**given, "parameters": {"layers": listed}}


def problems_of(spec: dict[str, Any]) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        plan(spec, CATALOG)
    return list(caught.value.problems)


def the_problem(listed: Any, **more: Any) -> str:
    [problem] = problems_of(spec_of(listed, **more))
    return str(problem)


def test_it_works() -> None:
    [trial] = plan(spec_of(SLIDE), CATALOG).trials
    listed = trial.spec["parameters"]["layers"]

    assert listed[2] == {
        "type": "MaxPooling2D", "pool_size": [2, 2], "strides": [2, 2], "padding": "valid",
    }  # fmt: skip
    assert listed[3] == {"type": "Dropout", "rate": 0.25}
    size = layers.size_of(listed, (16, 16, 1), 10)
    assert size.shapes[:4] == ((16, 16, 1), (14, 14, 32), (12, 12, 64), (6, 6, 64))
    assert size.weights == 315_146


def test_what_was_filled_in_is_read_as_it_is() -> None:
    listed = layers.read(SLIDE)[0]

    assert layers.read(json.loads(json.dumps(listed))) == (listed, [])
    # Two ways to write one network are one network.
    assert layers.read([{"type": "Conv2D", "filters": 4, "kernel_size": 3}]) == layers.read(
        [{"type": "Conv2D", "kernel_size": [3, 3], "filters": 4, "use_bias": True}]
    )
    shared = layers.read([{"type": "ZeroPadding2D"}])[0][0]["padding"]
    shared.append(9)
    assert layers.read([{"type": "ZeroPadding2D"}])[0][0]["padding"] == [1, 1]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([FLAT, {"type": "Dense", "units": 4, "rate": 0.5}],
         "layers/1/rate: is not known to Dense"),
        ([FLAT, {"type": "Dropout", "rate": 1.5}],
         "layers/1/rate: must be from 0 to 0.95, not 1.5"),
        ([{"type": "Dropout"}], "layers/0/rate: is missing; Dropout needs it"),
        ([{"type": "dens", "units": 3}], "layers/0/type: .* Did you mean 'Dense'"),
        ([{"type": "conv2d"}], "layers/0/type: .* Did you mean 'Conv2D'"),
        ([{"type": "MaxPool2D"}], "layers/0/type: .* Did you mean 'MaxPooling2D'"),
        ([FLAT, {"type": "Dense", "unit": 3, "units": 3}], "1/unit: .* Did you mean 'units'"),
        ([{"type": "Flatten", "x": 1}], "takes no arguments"),
        ([FLAT, {"type": "Dense", "units": "128"}],
         "1/units: must be a whole number, not '128' in quotes"),
        ([FLAT, {"type": "Dense", "units": True}], "must be a whole number, not True"),
        ([FLAT, {"type": "Dense", "units": 12.0}], "must be a whole number, not 12.0"),
        ([FLAT, {"type": "Dense", "units": None}], "must be a whole number, not nothing"),
        ([FLAT, {"type": "Dense", "units": {"a": 1}}], "must be a whole number, not a table"),
        ([FLAT, {"type": "Dense", "units": 0}], "must be from 1 to 4096, not 0"),
        ([FLAT, {"type": "Dense", "units": 10**18}], "must be from 1 to 4096"),
        ([FLAT, {"type": "Dense", "units": 10**4000}], "not so large a number"),
        ([FLAT, {"type": "Dropout", "rate": math.nan}], "must be a finite number"),
        ([FLAT, {"type": "Dropout", "rate": math.inf}], "must be a finite number"),
        ([FLAT, {"type": "Dropout", "rate": "nan"}], "must be a number, not 'nan'"),
        ([FLAT, {"type": "Dense", "units": 4, "use_bias": 1}], "must be true or false, not 1"),
        ([FLAT, {"type": "Dense", "units": 4, "activation": "reluu"}],
         "must be one of linear, relu"),
        ([{"type": "Conv2D", "filters": 2, "kernel_size": [3, 3, 3]}], "or two: .rows, columns."),
        ([{"type": "Conv2D", "filters": 2, "kernel_size": [3, [3]]}], "whole number, not a list"),
        ([{"type": "Conv2D", "filters": 2, "kernel_size": 3, "strides": 99}], "from 1 to 8"),
        ([{}], "layers/0/type: is missing"),
        (["Flatten"], "layers/0: must be a table with a type, not 'Flatten'"),
        ([[FLAT]], "layers/0: must be a table with a type, not a list"),
        ([None], "must be a table with a type, not nothing"),
        ({"type": "Dense"}, "layers: must be a list of layers, not a table"),
        ("[{type: Flatten}]", "layers: must be a list of layers, not '.{type: Flatten}.'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_where_it_stands(listed: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=f"/parameters/.*{words}"):
        raise AssertionError(the_problem(listed))


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "Lambda", "function": "lambda x: x"},
        {"type": "Lambda"},
        {"type": "TFSMLayer", "filepath": "/etc"},
        {"type": "Embedding", "input_dim": 10**9, "output_dim": 10**9},
        {"type": "Wrapper"},
        {"type": "__class__"},
        {"type": "__init__"},
        {"type": "Dense.__class__"},
        {"type": "keras.layers.Dense"},
        {"type": "../layers/Dense"},
        {"type": ["Dense"]},
        {"type": {"class_name": "Dense"}},
        {"type": 7},
        {"type": None},
        {"type": "Dense\u0000"},
        {"type": "Dense "},
        {"class_name": "Lambda", "config": {"function": "x"}},
        {"type": "Flatten", "__class__": "Lambda"},
        {"type": "Flatten", "name": "logits"},
        {"type": "Dense", "units": 3, "kernel_initializer": "os:system"},
        {"type": "Dense", "units": 3, "activation": "__import__"},
        {"type": "Dense", "units": 3, "activation": {"class_name": "function"}},
        {"type": "Activation", "activation": ["relu"]},
    ],
)
def test_code_and_names_that_load_are_refused(layer: dict[str, Any]) -> None:
    found = the_problem([layer])

    assert found.startswith("/parameters/layers/0")
    assert len(found) < 500


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([{"type": "Dense", "units": 4}],
         "layers/0: Dense takes a vector, and a picture of 16 x 16 x 1"),
        ([FLAT, {"type": "MaxPooling2D"}],
         "layers/1: MaxPooling2D takes a picture, and a vector of 256"),
        ([{"type": "Conv2D", "filters": 2, "kernel_size": 11}] * 2,
         "layers/1: needs at least 11 x 11 .* 6 x 6"),
        ([{"type": "MaxPooling2D", "pool_size": [16, 1]}, {"type": "AveragePooling2D"}],
         "layers/1: needs at least 2 x 2 pixels, and 1 x 16"),
        ([{"type": "MaxPooling2D"}], "layers: ends with a picture of 8 x 8 x 1"),
        ([], "layers: is empty and leaves a picture of 16 x 16 x 1"),
        ([FLAT, *[{"type": "Dense", "units": 4096}] * 2],
         "layers/2: brings the list to .* weights"),
        ([{"type": "UpSampling2D", "size": 4}] * 32,
         "layers/2: brings the list to .* outputs for each"),
    ],
)  # fmt: skip
def test_shapes_and_sizes_are_worked_out_beforehand(listed: Any, words: str) -> None:
    with pytest.raises(AssertionError, match=f"/parameters/{words}"):
        raise AssertionError(the_problem(listed))


def test_shapes_follow_the_data_set() -> None:
    small = [{"type": "Conv2D", "filters": 2, "kernel_size": 3}, FLAT]
    colour = {"channels": 3, "height": 40}
    plan(spec_of(small, dataset="synthetic", dataset_parameters=colour), CATALOG)
    assert "takes a picture, and a vector of 2" in the_problem(small, dataset="spirals")
    # The data set's own problem is told, and no shape that follows from it.
    [wrong] = problems_of(spec_of(small, dataset="synthetic", dataset_parameters={"channels": "3"}))
    assert wrong.pointer == "/dataset_parameters/channels"


def test_a_batch_has_a_most_of_memory() -> None:
    wide = [{"type": "Conv2D", "filters": 512, "kernel_size": 1}, FLAT]
    plan(spec_of(wide), CATALOG)
    found = the_problem(wide, batch_size=65536)
    assert "MiB for the outputs of 65,536 examples" in found and "smaller batch_size" in found
    for beyond in (10**4000, -1, "64", 1e9):
        [wrong] = problems_of(spec_of(wide, batch_size=beyond))
        assert wrong.pointer == "/batch_size"


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([FLAT] * 10**6, "must hold at most 32 layers, not 1,000,000"),
        ([{f"k{n}": n for n in range(10**5)} | FLAT] * 32, "is not known to Flatten"),
        ([{"type": "x" * 10**6}] * 32, "must be a layer that a spec may list"),
        ([{"type": "Dense", "units": [[] for _ in range(10**5)]}] * 32, "not a list|must be one"),
    ],
)
def test_however_much_is_listed_little_is_answered(listed: Any, words: str) -> None:
    tracemalloc.start()
    found = problems_of(spec_of(listed))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(found) <= layers.MOST_PROBLEMS
    assert sum(len(str(problem)) for problem in found) < 20_000
    # Some lists of 100,000 keys are gone through; none is copied many times.
    assert most < 20e6
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(str(found[0]))


def test_what_is_nested_is_never_followed() -> None:
    deep: Any = FLAT
    for _ in range(100_000):
        deep = [deep]
    assert the_problem([deep]) == (
        "/parameters/layers/0: must be a table with a type, not a list. "
        "Such as {type: Dense, units: 10}."
    )
    with pytest.raises(SpecError, match="nested too deeply"):
        read_spec(json.dumps(spec_of([])).replace("[]", "[" * 900 + "]" * 900), "json")


@pytest.mark.parametrize(
    "axis",
    [[SLIDE, [FLAT]], [1, 2], {"low": 1, "high": 4, "steps": 2}, [[1, 2]], ["a"]],
)
def test_a_sweep_over_the_list_is_refused_in_one_sentence(axis: Any) -> None:
    base = spec_of(SLIDE)
    sweep = {"kind": "sweep", "base": base, "strategy": {"method": "grid"}}
    [problem] = problems_of({**sweep, "space": {"parameters.layers": axis}})
    assert problem.pointer == "/space/parameters.layers"
    assert "which a sweep cannot vary" in problem.message
    assert len(plan({**sweep, "space": {"batch_size": [16, 32]}}, CATALOG).trials) == 2


def test_a_trial_of_a_sweep_whose_list_grows_too_large_is_named() -> None:
    wide = [{"type": "Conv2D", "filters": 512, "kernel_size": 1}, FLAT]
    sweep = {"kind": "sweep", "base": spec_of(wide), "strategy": {"method": "grid"}}
    [problem] = problems_of({**sweep, "space": {"batch_size": [32, 65536]}})
    assert "trial 1: /parameters/layers needs" in problem.message


def test_the_runner_checks_once_more() -> None:
    assert layers.checked(SLIDE, (16, 16, 1), 10) == layers.read(SLIDE)[0]
    with pytest.raises(Unsuitable, match="layers/0/type: must be a layer"):
        layers.checked([{"type": "Lambda"}], (16, 16, 1), 10)
    with pytest.raises(Unsuitable, match="layers/0: Dense takes a vector"):
        layers.checked([{"type": "Dense", "units": 4}], (16, 16, 1), 10)


def test_arguments_say_their_range() -> None:
    for name, kind in KINDS.items():
        for key, argument in kind.arguments.items():
            assert argument.least <= argument.most, (name, key)
            if not argument.required and argument.default is not None:
                assert argument.read(argument.default) == argument.default, (name, key)


def test_the_form_takes_a_list_as_it_is_typed() -> None:
    form = build(spec_of(SLIDE), CATALOG)
    fields: dict[str, Field] = {one.pointer: one for group in form.groups for one in group.fields}
    shown = fields["/parameters/layers"]
    assert shown.type == "layers" and "at most 32" in shown.limits
    assert read_spec(shown.value, "yaml") == SLIDE and shown.value.count("\n") == 6
    declared = CATALOG.models["layers"].parameters["layers"]
    assert read_spec(shown.default, "yaml") == declared.default
    [found] = form.placed(problems_of(spec_of([{"type": "Lambda"}])))
    assert found == "/parameters/layers"
    swept = build(
        {"kind": "sweep", "base": spec_of(SLIDE), "strategy": {"method": "grid"}, "space": {}},
        CATALOG,
    )
    assert swept.sweep is not None
    assert not swept.sweep.knows("parameters.layers") and swept.sweep.knows("batch_size")


def test_a_spec_is_written_with_a_layer_a_line() -> None:
    text = spec_text(spec_of(SLIDE))
    assert "\n    - {type: MaxPooling2D, pool_size: 2}\n" in text
    assert read_spec(text, "yaml") == spec_of(SLIDE)


def test_defaults_are_filled_in_and_checked() -> None:
    declared = dict(CATALOG.models["layers"].parameters)
    values, problems = fill(declared, {}, of="layers")
    assert problems == []
    assert [one["type"] for one in values["layers"]] == ["Flatten", "Dense"]
    assert values["layers"][1]["use_bias"] is True
    assert "must be a layer" in str(declared["layers"].refuse([{"type": "Lambda"}]))
