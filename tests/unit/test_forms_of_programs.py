"""The submit page's form for models that train themselves, and for one that takes no data."""

from __future__ import annotations

from typing import Any

import pytest

from api.forms.build import build
from api.forms.changes import start, with_entry, with_kind
from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT

CATALOG = Catalog.load([CHECKOUT / "catalog"])
DIGITS: dict[str, Any] = {
    "kind": "train", "model": "mlp", "dataset": "digits", "optimizer": "sgd", "batch_size": 8,
    "engine": "fit", "epochs": 3,
}  # fmt: skip


def fields_of(spec: dict[str, Any]) -> set[str]:
    form = build(spec, CATALOG)
    fields = {field.pointer for group in form.groups for field in group.fields}
    return fields | {chooser.pointer for chooser in form.choosers}


@pytest.mark.parametrize("name", ["dqn", "ten_lines"])
def test_one_can_begin_with_it_as_either_kind(name: str) -> None:
    for kind in ("train", "sweep"):
        spec = start(CATALOG, kind, name)
        assert plan(spec, CATALOG).trials[0].code_name == name


def test_nobody_new_begins_with_one() -> None:
    assert CATALOG.models[start(CATALOG)["model"]].program is None


def test_only_what_it_heeds_is_on_offer() -> None:
    found = fields_of({"kind": "train", "model": "dqn"})
    assert {"/batch_size", "/learning_rate", "/epochs", "/parameters/memory"} <= found
    assert not {"/dataset", "/optimizer", "/engine", "/init_from", "/fresh", "/freeze"} & found
    found = fields_of({"kind": "train", "model": "ten_lines", "dataset": "xor"})
    assert "/dataset" in found and not {"/batch_size", "/optimizer", "/engine"} & found


def test_what_is_set_in_error_is_shown_so_that_it_can_be_taken_out() -> None:
    found = fields_of({"kind": "train", "model": "dqn", "dataset": "digits", "optimizer": "sgd"})
    assert {"/dataset", "/optimizer"} <= found
    form = build({"kind": "train", "model": "dqn", "dataset": "digits"}, CATALOG)
    assert {option.unfit for option in form.choosers[1].options} == {"the model takes no data"}


def test_changing_to_it_and_back_gives_specs_that_are_accepted() -> None:
    there = with_entry(DIGITS, "model", "dqn", CATALOG)
    assert there == {"kind": "train", "model": "dqn", "batch_size": 8, "epochs": 3}
    plan(there, CATALOG)
    back = with_entry(there, "model", "mlp", CATALOG)
    assert back == {**there, "model": "mlp", "dataset": "digits"}
    plan(back, CATALOG)
    sweep = with_kind({**DIGITS, "engine": "loop"}, "sweep", CATALOG)
    sweep["space"] = {"optimizer": ["sgd", "adam"], "dataset": ["digits"], "epochs": [1, 2]}
    there = with_entry(sweep, "model", "dqn", CATALOG)
    assert there["space"] == {"epochs": [1, 2]}
    plan(there, CATALOG)
