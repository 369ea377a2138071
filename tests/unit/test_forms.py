"""The submit page's form: fields, texts, and specs that change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.forms.build import Group, build, fits
from api.forms.changes import start, with_base_kind, with_entry, with_kind
from api.forms.fields import Field, field_id, label_of, text_of
from api.forms.text import KEY_ORDER, spec_text
from labpool.catalog import Catalog
from labpool.errors import Problem, SpecError
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.settings import CHECKOUT
from labpool.spec import FORMS

TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits"}
EXAMPLES = sorted((CHECKOUT / "examples").glob("*.yaml"))
EVERY_TYPE = """
title = "Every type"
summary = "One parameter of each."
slide = "A slide"
task = "classification"
framework = "keras"
[input]
kind = "any"
[parameters.whole]
type = "integer"
minimum = 1
maximum = 9000
default = 3
meaning = "A whole number."
[parameters.rate]
type = "number"
minimum = 0.5
default = 1.0
meaning = "A number."
[parameters.flag]
type = "boolean"
default = false
meaning = "Yes or no."
[parameters.how]
type = "choice"
choices = ["a", "b"]
default = "a"
meaning = "One of two."
[parameters.widths]
type = "integers"
minimum = 1
max_items = 4
default = [8, 16]
meaning = "Some numbers."
"""


@pytest.fixture
def wider(tmp_path: Path) -> Catalog:
    """labpool's catalog and a model of somebody's own."""
    folder = tmp_path / "more" / "models" / "every_type"
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(EVERY_TYPE)
    (folder / "model.py").write_text("")
    return Catalog.load([CHECKOUT / "catalog", tmp_path / "more"])


def fields_of(groups: tuple[Group, ...]) -> dict[str, Field]:
    return {field.pointer: field for group in groups for field in group.fields}


def test_it_works(wider: Catalog) -> None:
    given = {"whole": 5, "rate": 1.0, "flag": True, "how": "b", "widths": [4, 8]}
    form = build({"kind": "train", "model": "every_type", "parameters": given}, wider)
    fields = fields_of(form.groups)
    shown = {name: fields[f"/parameters/{name}"] for name in given}

    assert {name: field.type for name, field in shown.items()} == {
        "whole": "integer", "rate": "number", "flag": "boolean", "how": "choice",
        "widths": "integers",
    }  # fmt: skip
    assert [field.value for field in shown.values()] == ["5", "1.0", "true", "b", "4, 8"]
    assert [field.default for field in shown.values()] == ["3", "1", "false", "a", "8, 16"]
    assert shown["whole"].limits == "whole number, 1 to 9,000"
    assert shown["rate"].limits == "number, at least 0.5"
    assert shown["widths"].limits.endswith("at least 1, at most 4 of them")
    assert shown["flag"].options == ("true", "false")
    assert shown["how"].options == ("a", "b")
    assert fields["/tags"].type == "words"
    assert fields["/notes"].type == "long_text"
    assert fields["/name"].type == "text"
    assert fields["/learning_rate"].limits == "number, above 0, at most 100"
    [model, dataset] = form.choosers
    assert model.entry is not None
    assert (model.entry.title, model.entry.slide) == ("Every type", "A slide")
    assert [option.name for option in dataset.options] == list(wider.datasets)


@pytest.mark.parametrize("kind", ["train", "sweep", "benchmark"])
def test_every_property_of_the_spec_has_a_field(kind: str, wider: Catalog) -> None:
    spec = start(wider, kind)
    form = build(spec, wider)
    known = set(fields_of(form.groups)) | {chooser.pointer for chooser in form.choosers}
    base, where = (spec["base"], "/base") if kind == "sweep" else (spec, "")
    tables = {"parameters", "dataset_parameters", "sizes", "launch"}
    said = {"kind", "name", "notes", "tags"}
    wanted = {f"{where}/{name}" for name in FORMS[base["kind"]].model_fields} - {
        f"{where}/{name}" for name in tables | said
    }

    if kind == "sweep":
        # The sweep says it for all of its trials.
        wanted.remove("/base/fuse")
        assert form.sweep is not None
        assert "/fuse" in form.sweep.pointers
    assert wanted <= known
    assert {"/name", "/notes", "/tags"} <= known
    if form.sweep:
        assert {"/strategy/trials", "/strategy/seed", "/strategy/method"} <= set(
            form.sweep.pointers
        )


def test_keys_have_a_place_in_the_order() -> None:
    for form in FORMS.values():
        assert set(form.model_fields) <= set(KEY_ORDER)


def test_a_models_own_defaults_are_shown(catalog: Catalog) -> None:
    fields = fields_of(build({**TRAIN, "model": "lenet5"}, catalog).groups)

    assert fields["/learning_rate"].default == "0.002"
    assert fields["/learning_rate_decay"].default == "0.93"
    assert fields["/optimizer"].default == "adam"
    assert fields["/early_stopping_patience"].default == ""


def test_data_sets_that_do_not_fit_say_why(catalog: Catalog) -> None:
    _, dataset = build({**TRAIN, "model": "lenet5"}, catalog).choosers
    unfit = {option.name: option.unfit for option in dataset.options}

    assert {name for name, why in unfit.items() if why} == {"spirals", "xor"}
    assert unfit["spirals"] == unfit["xor"] == "holds no images"
    assert {"digits", "mnist", "synthetic"} <= set(unfit)
    _, anything = build(TRAIN, catalog).choosers
    assert {option.unfit for option in anything.options} == {""}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": 7},
        {"kind": "train", "model": ["a"], "parameters": 5, "epochs": {"a": 1}},
        {"kind": "sweep"},
        {"kind": "sweep", "base": [], "space": [], "strategy": "grid"},
        {"kind": "sweep", "base": {"kind": "x"}, "space": {"a/b~c": 7}, "strategy": {"method": 3}},
        {"kind": "benchmark", "kernel": "<script>", "sizes": [], "launch": {"warps": None}},
        {"kind": "train", "model": "mlp", "tags": "a", "notes": 5, "early_stopping_patience": None},
    ],
)
def test_a_form_can_be_made_of_anything(data: dict[str, Any], catalog: Catalog) -> None:
    form = build(data, catalog)

    assert form.kind in FORMS
    for change in ("train", "sweep", "benchmark"):
        build(with_kind(data, change, catalog), catalog)
    for key in ("model", "dataset", "kernel"):
        build(with_entry(data, key, "mlp", catalog), catalog)


def test_problems_are_placed_at_the_nearest_field(catalog: Catalog) -> None:
    spec = {
        "kind": "sweep",
        "base": {**TRAIN, "parameters": {"hidden": [0]}},
        "strategy": {"method": "grid"},
        "space": {"learning_rate": [1, 1]},
    }
    pointers = ["/base/parameters/hidden/0", "/space/learning_rate/1", "/space/x", "/modle", ""]
    placed = build(spec, catalog).placed([Problem(where, "is wrong.") for where in pointers])

    assert {place: [p.pointer for p in found] for place, found in placed.items()} == {
        "/base/parameters/hidden": ["/base/parameters/hidden/0"],
        "/space/learning_rate": ["/space/learning_rate/1"],
        "/space": ["/space/x"],
        "": ["/modle", ""],
    }


def test_ids_are_safe_and_differ() -> None:
    pointers = ["/a-b", "/a/b", "/a.b", "/a b", '/a"b', "/a~1b", "/ä", "/<script>"]
    ids = [field_id(pointer) for pointer in pointers]

    assert len(set(ids)) == len(pointers)
    assert field_id("/base/learning_rate") == "field-base-learning_rate"
    for found in ids:
        assert found.isascii()
        assert not set(found) & set(" \"'<>&/~")


def test_labels_and_texts() -> None:
    assert label_of("time_limit_s") == "Time limit (seconds)"
    assert label_of("batch_size") == "Batch size"
    assert [text_of(value) for value in (None, [], [1, 2], True, 1e-5, "x")] == [
        "", "[]", "1, 2", "true", "1e-05", "x",
    ]  # fmt: skip


# What the reader refuses however it is written: NUL and lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEY_ORDER) | TEXTS, VALUES, min_size=1, max_size=5))
def test_what_is_written_reads_back_the_same(data: dict[str, Any]) -> None:
    assert read_spec(spec_text(data), "yaml") == data


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_written_as_people_write_them(path: Path) -> None:
    spec = read_spec(path.read_bytes(), "yaml")
    text = spec_text(spec)

    assert read_spec(text, "yaml") == spec
    assert text.startswith(f"kind: {spec['kind']}\nname: ")
    assert max(map(len, text.splitlines())) < 80


def test_words_that_yaml_takes_for_others_are_quoted() -> None:
    texts = ["no", "1e-3", "null", "~", "a: b", "# a", "", " a", "a ", "3", "- a", "2026-01-01"]
    for text in texts:
        assert read_spec(spec_text({"name": text}), "yaml") == {"name": text}
        assert '"' in spec_text({"name": text}), text
    assert spec_text({"name": "rate by size, twice"}) == "name: rate by size, twice\n"
    assert spec_text({"notes": "one\n\ntwo"}) == "notes: |-\n  one\n\n  two\n"
    assert spec_text({"seed": 1, "model": "mlp", "zzz": 1, "kind": "train"}) == (
        "kind: train\nmodel: mlp\nseed: 1\nzzz: 1\n"
    )


def test_one_can_begin_with_every_entry(wider: Catalog) -> None:
    # Where a model and a kernel share a name the kind tells them apart; a sweep takes the model.
    both = wider.models.keys() & wider.kernels.keys()
    for name in wider.models:
        for kind in ("train", "sweep") if name in both else ("train", "sweep", "benchmark"):
            spec = start(wider, kind, name)
            base = spec["base"] if kind == "sweep" else spec
            assert base["model"] == name
            plan(spec, wider)
    for name in wider.kernels:
        for kind in ("benchmark",) if name in both else ("benchmark", "sweep", "train"):
            spec = start(wider, kind, name)
            assert (spec["base"] if kind == "sweep" else spec)["kernel"] == name
            plan(spec, wider)
    for kind in FORMS:
        assert start(wider, kind)["kind"] == kind
    with pytest.raises(SpecError, match="no model of the catalog"):
        plan(start(wider, "train", "unknown"), wider)


def test_an_empty_catalog_breaks_nothing(tmp_path: Path) -> None:
    empty = Catalog.load([tmp_path])
    for kind in FORMS:
        build(start(empty, kind), empty)


@pytest.mark.parametrize("example", ["not yaml: [", "- a list", "kind: train\nmodel: other\n"])
def test_an_example_that_cannot_be_used_is_passed_over(
    example: str, wider: Catalog, tmp_path: Path
) -> None:
    (wider.models["every_type"].path / "example.yaml").write_text(example)

    assert start(wider, "train", "every_type") == {
        "kind": "train", "model": "every_type", "dataset": "digits",
    }  # fmt: skip


def test_kinds_turn_into_each_other(catalog: Catalog) -> None:
    one = {**TRAIN, "name": "a name", "tags": ["t"], "epochs": 2}
    sweep = with_kind(one, "sweep", catalog)

    assert sweep["name"] == "a name"
    assert sweep["base"] == {**TRAIN, "epochs": 2}
    assert len(plan(sweep, catalog).trials) == 3
    assert with_kind(sweep, "train", catalog) == one
    benchmark = with_kind(one, "benchmark", catalog)
    assert benchmark["kind"] == "benchmark"
    assert benchmark["name"] == "a name"
    other = with_base_kind(sweep, "benchmark", catalog)
    assert other["base"]["kind"] == "benchmark"
    assert other["name"] == "a name"
    assert len(plan(other, catalog).trials) > 1


def test_another_model_keeps_what_it_can_take(catalog: Catalog) -> None:
    spec = {
        "kind": "sweep",
        "base": {
            "kind": "train", "model": "mlp", "dataset": "spirals", "epochs": 2,
            "parameters": {"activation": "tanh", "hidden": [8]},
            "dataset_parameters": {"turns": 1.0},
        },
        "strategy": {"method": "grid"},
        "space": {"parameters.hidden": [[8], [16]], "batch_size": [16, 32]},
    }  # fmt: skip
    changed = with_entry(spec, "model", "lenet5", catalog)

    assert changed["base"] == {
        "kind": "train", "model": "lenet5", "parameters": {"activation": "tanh"},
        "dataset": "digits", "epochs": 2,
    }  # fmt: skip
    assert changed["space"] == {"batch_size": [16, 32]}
    plan(changed, catalog)
    # "sigmoid" is none of lenet5's.
    sigmoid = {**TRAIN, "parameters": {"activation": "sigmoid"}}
    assert "parameters" not in with_entry(sigmoid, "model", "lenet5", catalog)
    # All that varied is gone: something else is offered.
    alone = {**spec, "space": {"parameters.hidden": [[8], [16]]}}
    assert list(with_entry(alone, "model", "lenet5", catalog)["space"]) == ["learning_rate"]


def test_an_examples_name_does_not_stay_with_another_model(catalog: Catalog) -> None:
    example = start(catalog, "train", "softmax")
    assert example["name"] == "softmax on digits"

    assert "name" not in with_entry(example, "model", "mlp", catalog)
    own = {**example, "name": "my own"}
    assert with_entry(own, "model", "mlp", catalog)["name"] == "my own"


def test_what_fits(catalog: Catalog) -> None:
    lenet5, spirals = catalog.models["lenet5"], catalog.datasets["spirals"]
    assert not fits(lenet5, spirals)
    assert fits(catalog.models["mlp"], spirals)
    assert fits(None, spirals)


def test_what_is_wrong_is_said_in_plain_words(catalog: Catalog) -> None:
    sweep = {"kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"}}
    for raw, where, message, hint in (
        ({**sweep, "space": {}}, "/space", "must hold at least 1 item, not 0.", None),
        (
            {**sweep, "space": {"seed": []}},
            "/space/seed",
            "must hold at least 1 item, not 0.",
            None,
        ),
        ({**TRAIN, "epochs": "x"}, "/epochs", "must be a whole number.", None),
        ({**TRAIN, "epochs": "3"}, "/epochs", "must be a whole number.", "Write the number"),
    ):
        with pytest.raises(SpecError) as refused:
            plan(raw, catalog)
        [problem] = refused.value.problems
        assert (problem.pointer, problem.message) == (where, message)
        assert (problem.suggestion or "").startswith(hint or "")
        assert bool(problem.suggestion) == bool(hint)


def test_an_examples_name_stays_with_its_kind(catalog: Catalog) -> None:
    assert start(catalog, "sweep", "lenet5")["name"] == "lenet5, learning rate by batch size"
    assert "name" not in start(catalog, "train", "lenet5")
