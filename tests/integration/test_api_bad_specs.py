"""Specs that must be refused: 4xx, the pointer names the field, no trace, nothing stored."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import BENCHMARK, GRID, TRAIN, Api, problem_of

pytest_plugins = ["tests.support.api_fixtures"]
PATH = "/api/v1/experiments"
NOTHING = {"experiments": 0, "trials": 0, "idempotency_keys": 0}


def test_it_works(quick_api: Api) -> None:
    spec = {**TRAIN, "modle": "mlp", "epochs": "three", "learning_rate": -1}
    problem = problem_of(quick_api.owner.submit(spec), 422)

    assert problem["type"].endswith("invalid-spec")
    found = {error["pointer"]: error for error in problem["errors"]}
    assert found.keys() == {"/modle", "/epochs", "/learning_rate"}
    assert "model" in found["/modle"]["suggestion"]
    assert quick_api.stored() == NOTHING


def train(**changes: Any) -> dict[str, Any]:
    return {**TRAIN, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in TRAIN.items() if key != name}


def sweep(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(GRID), **changes}


WIDE = {f"parameters.p{n}": list(range(10)) for n in range(6)}
BAD: dict[str, tuple[Any, str]] = {
    "no_kind": (without("kind"), "/kind"),
    "unknown_kind": (train(kind="trian"), "/kind"),
    "kind_is_a_list": (train(kind=["train"]), "/kind"),
    "not_a_table": ([TRAIN], ""),
    "a_bare_number": (7, ""),
    "null": (None, ""),
    "no_model": (without("model"), "/model"),
    "unknown_model": (train(model="lenet"), "/model"),
    "path_as_a_model": (train(model="../../etc/passwd"), "/model"),
    "absolute_path_as_a_data_set": (train(dataset="/etc/passwd"), "/dataset"),
    "module_as_a_model": (train(model="os.system"), "/model"),
    "unknown_data_set": (train(dataset="digit"), "/dataset"),
    "epochs_as_text": (train(epochs="10"), "/epochs"),
    "epochs_as_a_fraction": (train(epochs=2.5), "/epochs"),
    "no_epochs": (train(epochs=0), "/epochs"),
    "epochs_without_end": (train(epochs=10**12), "/epochs"),
    "true_as_a_number": (train(batch_size=True), "/batch_size"),
    "negative_rate": (train(learning_rate=-0.1), "/learning_rate"),
    "rate_of_zero": (train(learning_rate=0), "/learning_rate"),
    "growing_rate": (train(learning_rate_decay=1.5), "/learning_rate_decay"),
    "unknown_optimizer": (train(optimizer="adamw"), "/optimizer"),
    "unknown_key": (train(lr=0.1), "/lr"),
    "unknown_parameter": (train(parameters={"unit": [4]}), "/parameters/unit"),
    "parameters_as_a_list": (train(parameters=[1, 2]), "/parameters"),
    "negative_seed": (train(seed=-1), "/seed"),
    "huge_seed": (train(seed=2**70), "/seed"),
    "unknown_device": (train(device="tpu"), "/device"),
    "name_with_a_line_break": (train(name="a\nb"), "/name"),
    "name_too_long": (train(name="x" * 1000), "/name"),
    "bad_tag": (train(tags=["fine", "<script>"]), "/tags/1"),
    "too_many_tags": (train(tags=[f"t{n}" for n in range(100)]), "/tags"),
    "time_limit_of_a_year": (train(time_limit_s=365 * 86400), "/time_limit_s"),
    "grid_of_a_million": (sweep(space=WIDE), "/space"),
    "empty_space": (sweep(space={}), "/space"),
    "axis_without_values": (sweep(space={"learning_rate": []}), "/space/learning_rate"),
    "axis_of_an_unknown_field": (sweep(space={"learning_rte": [1]}), "/space/learning_rte"),
    "bad_value_on_an_axis": (
        sweep(space={"learning_rate": [0.1, -1]}),
        "/space/learning_rate/1",
    ),
    "range_upside_down": (
        sweep(space={"learning_rate": {"low": 1, "high": 0.1, "steps": 3}}),
        "/space/learning_rate",
    ),
    "unknown_strategy": (sweep(strategy={"method": "magic"}), "/strategy/method"),
    "random_without_trials": (sweep(strategy={"method": "random"}), "/strategy/trials"),
    "bad_base": (sweep(base={**GRID["base"], "epochs": -1}), "/base/epochs"),
    "sweep_of_a_sweep": (sweep(base=GRID), "/base/kind"),
    "unknown_kernel": ({**BENCHMARK, "kernel": "sgemm"}, "/kernel"),
    "unknown_size": ({**BENCHMARK, "sizes": {"q": 3}}, "/sizes/q"),
    "unknown_type": ({**BENCHMARK, "dtype": "float8"}, "/dtype"),
    "key_as_a_pointer": (train(**{"a/b~c": 1}), "/a~1b~0c"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_specs_are_refused_by_name(quick_api: Api, name: str) -> None:
    spec, pointer = BAD[name]
    text = json.dumps(spec)
    for path in (PATH, "/api/v1/specs/validate"):
        answer = quick_api.owner.send("POST", path, text, "application/json")
        problem = problem_of(answer, 422)
        pointers = [error["pointer"] for error in problem["errors"]]
        near = [found for found in pointers if found == pointer or found.startswith(f"{pointer}/")]
        assert near, pointers
        assert all(error["detail"] for error in problem["errors"])
    assert quick_api.stored() == NOTHING
    assert quick_api.bell.rings == 0


DEEP = 100_000
UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "json"),
    "spaces": (b"  \n ", "json"),
    "half_an_object": (b'{"kind": "train",', "json"),
    "python": (b"{'kind': 'train'}", "json"),
    "given_twice": (b'{"kind": "train", "kind": "sweep"}', "json"),
    "deep_lists": (b"[" * DEEP + b"]" * DEEP, "json"),
    "deep_tables": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "json"),
    "rather_deep": (b'{"kind":' + b"[" * 40 + b"]" * 40 + b"}", "json"),
    "not_utf8": (b'{"kind": "\xff\xfe"}', "json"),
    "utf16": ('{"kind": "train"}'.encode("utf-16"), "json"),
    "nul_in_a_value": (b'{"kind": "train", "name": "a\\u0000b"}', "json"),
    "nul_in_a_key": (b'{"kind": "train", "a\\u0000b": 1}', "json"),
    "bare_nul": (b'{"kind": "train"}\x00', "json"),
    "lone_surrogate": (b'{"kind": "train", "name": "\\ud800"}', "json"),
    "number_of_a_million_digits": (b'{"seed": ' + b"9" * 100_000 + b"}", "json"),
    "yaml_alias": (b"a: &a [1, 2]\nb: *a\n", "yaml"),
    "yaml_bomb": (b"a: &a [x]\n" + b"b: [*a, *a, *a]\n", "yaml"),
    "yaml_tag": (b"!!python/object/apply:os.system ['true']", "yaml"),
    "yaml_tag_inside": (b"kind: !!python/name:os.system", "yaml"),
    "yaml_tabs": (b"kind:\n\ttrain", "yaml"),
    "yaml_two_documents": (b"kind: train\n---\nkind: sweep\n", "yaml"),
    "yaml_deep": (b"[" * 5000 + b"]" * 5000, "yaml"),
    "yaml_not_utf8": (b"kind: \xff", "yaml"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_bodies_that_cannot_be_read_are_refused(quick_api: Api, name: str) -> None:
    data, kind = UNREADABLE[name]
    answer = quick_api.owner.send("POST", PATH, data, f"application/{kind}")

    problem_of(answer, 400)
    assert quick_api.stored() == NOTHING


def test_the_place_of_a_syntax_error_is_said(quick_api: Api) -> None:
    data = '{\n  "kind": "train",\n  "model" "mlp"\n}'
    problem = problem_of(quick_api.owner.send("POST", PATH, data, "application/json"), 400)

    assert "line 3" in problem["errors"][0]["detail"]
    assert "column 11" in problem["errors"][0]["detail"]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_are_refused(quick_api: Api, word: str) -> None:
    text = json.dumps(train(learning_rate=0.5)).replace("0.5", word)
    problem = problem_of(quick_api.owner.send("POST", PATH, text, "application/json"), 422)

    assert [error["pointer"] for error in problem["errors"]] == ["/learning_rate"]
    assert quick_api.stored() == NOTHING


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_other_media_types_are_refused(quick_api: Api, media_type: str) -> None:
    answer = quick_api.owner.send("POST", PATH, json.dumps(TRAIN), media_type)

    problem_of(answer, 415)
    assert "application/yaml" in answer.headers["Accept-Post"]
    assert quick_api.stored() == NOTHING


def test_a_body_beyond_the_limit_is_refused(quick_api: Api) -> None:
    big = json.dumps(train(notes="x" * 1_100_000))
    problem_of(quick_api.owner.send("POST", PATH, big, "application/json"), 413)

    assert quick_api.stored() == NOTHING


def test_too_much_yaml_is_refused_before_it_is_read(quick_api: Api) -> None:
    answer = quick_api.owner.send("POST", PATH, "- 1\n" * 100_000, "application/yaml")
    assert "JSON" in problem_of(answer, 413)["detail"]


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        (train(**{f"learning_rat{n}": 1 for n in range(40_000)}), ""),
        (train(parameters={f"hiddn{n}": 1 for n in range(40_000)}), "/parameters"),
        (sweep(space={"base.seed": list(range(100_000))}), "/space/base.seed"),
        (train(tags=["!"] * 100_000), "/tags"),
    ],
    ids=["names", "parameters", "values", "tags"],
)
def test_a_body_made_to_be_slow_is_refused_quickly(
    quick_api: Api, spec: dict[str, Any], pointer: str
) -> None:
    began = time.process_time()
    problem = problem_of(quick_api.owner.submit(spec), 422)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert time.process_time() - began < 3
    assert quick_api.stored() == NOTHING


def paths_in(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a spec that holds a value."""
    if path:
        yield path
    if isinstance(node, dict):
        for name, inner in node.items():
            yield from paths_in(inner, (*path, name))


VALID: list[dict[str, Any]] = [
    {
        **TRAIN,
        "name": "all of it",
        "tags": ["a"],
        "parameters": {"hidden": [32]},
        "optimizer": "adam",
        "learning_rate": 0.01,
        "learning_rate_decay": 0.9,
        "batch_size": 16,
        "seed": 3,
        "device": "cpu",
        "early_stopping_patience": 3,
        "checkpoint_every_epochs": 2,
        "time_limit_s": 60.0,
        "stall_limit_s": 30.0,
    },
    GRID,
    {**BENCHMARK, "samples": 20, "seed": 1, "dtype": "float32"},
]
PLACES = [(spec, path) for spec in VALID for path in paths_in(spec)]
# Each is wrong wherever it stands: no field of a spec holds one of these.
WRONG: st.SearchStrategy[Any] = st.one_of(
    st.just({"unexpected": 1}),
    st.just([{"unexpected": 1}]),
    st.just([[]]),
    st.just(-1),
    st.just(-0.5),
    st.just(2**70),
    st.just(""),
    st.just("\u202e/../x"),
    st.text(min_size=1, max_size=30).map(lambda text: "\t" + text),
    st.floats(allow_nan=False, allow_infinity=False, max_value=-1e-9),
)


def changed(spec: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(spec)
    place: Any = copied
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return copied


@pytest.mark.parametrize("index", range(len(VALID)))
def test_the_specs_that_are_changed_below_are_valid(quick_api: Api, index: int) -> None:
    answer = quick_api.owner.post("/api/v1/specs/validate", VALID[index])
    assert answer.status_code == 200, answer.text


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(place=st.sampled_from(PLACES), value=WRONG)
def test_one_wrong_field_is_named(
    quick_api: Api, place: tuple[dict[str, Any], tuple[str | int, ...]], value: Any
) -> None:
    spec, path = place
    before = quick_api.stored()
    answer = quick_api.owner.send(
        "POST", PATH, json.dumps(changed(spec, path, value)), "application/json"
    )
    if answer.status_code == 201:
        # Only free text takes any text at all.
        assert path[-1] in ("name", "notes")
        return
    assert answer.status_code in (400, 422), answer.text
    problem = problem_of(answer, answer.status_code)
    pointer = "".join(f"/{part}" for part in path)
    assert any(related(pointer, error["pointer"]) for error in problem["errors"]), problem
    assert quick_api.stored() == before


def related(wanted: str, found: str) -> bool:
    """Whether `found` names the field or something in it."""
    return found == wanted or found.startswith(f"{wanted}/")
