"""The submit page's fields for how a sweep searches."""

from __future__ import annotations

from typing import Any

import pytest

from api.forms.build import build
from api.forms.searching import Shown
from api.forms.sweep import SweepForm
from labpool.catalog import Catalog
from labpool.errors import Problem, SpecError
from labpool.planning import plan
from labpool.spec import SweepSpec
from labpool.strategy_form import PRUNER_FORMS, STRATEGY_FORMS, Objective

SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 9},
    "strategy": {
        "method": "tpe", "trials": 9, "pruner": {"method": "asha", "reduction": 2},
    },
    "space": {"learning_rate": {"low": 1e-4, "high": 1.0}},
    "objective": {"metric": "val_loss"},
    "budget_slot_seconds": 60,
    "fuse": 8,
}  # fmt: skip


def form_of(catalog: Catalog, spec: Any) -> SweepForm:
    form = build(spec, catalog).sweep
    assert form is not None
    return form


def shown(form: SweepForm) -> dict[str, Shown]:
    return {one.field.pointer: one for one in (*form.drawing, *form.search)}


def test_it_works(catalog: Catalog) -> None:
    fields = shown(form_of(catalog, SWEEP))
    said = {pointer: one.field.value for pointer, one in fields.items() if one.field.value}
    assert said == {
        "/strategy/trials": "9",
        "/strategy/pruner/method": "asha",
        "/strategy/pruner/reduction": "2",
        "/objective/metric": "val_loss",
        "/budget_slot_seconds": "60",
        "/fuse": "8",
    }
    fuse = fields["/fuse"].field
    assert (fuse.type, fuse.default, fuse.choices) == ("word_or_integer", "off", ("off", "auto"))
    assert fuse.limits == "off, auto, or a whole number, 2 to 64"


def test_every_word_of_a_search_has_a_field(catalog: Catalog) -> None:
    known = form_of(catalog, SWEEP).pointers
    for form in STRATEGY_FORMS.values():
        for name in set(form.model_fields) - {"pruner"}:
            assert f"/strategy/{name}" in known
    for form in PRUNER_FORMS.values():
        assert {f"/strategy/pruner/{name}" for name in form.model_fields} <= set(known)
    assert {f"/objective/{name}" for name in Objective.model_fields} <= set(known)
    own = set(SweepSpec.model_fields) - {"kind", "name", "notes", "tags", "base", "strategy"}
    assert {f"/{name}" for name in own - {"objective"}} <= set(known)


@pytest.mark.parametrize(
    ("strategy", "there"),
    [
        ({"method": "grid"}, set()),
        ({"method": "qmc"}, {"trials", "seed"}),
        ({"method": "tpe"}, {"trials", "seed", "startup_trials", "at_once"}),
        ({"method": "grid", "pruner": {"method": "median"}}, {"min_epochs", "min_trials"}),
        ({"method": "grid", "pruner": {"method": "asha"}}, {"min_epochs", "reduction"}),
        ({"method": "grid", "pruner": "asha"}, set()),
    ],
)
def test_only_what_applies_is_shown(catalog: Catalog, strategy: Any, there: set[str]) -> None:
    fields = shown(form_of(catalog, {**SWEEP, "strategy": strategy}))
    depending = {pointer: one for pointer, one in fields.items() if one.of}
    found = {pointer.rpartition("/")[2] for pointer, one in depending.items() if not one.hidden}
    assert found == there
    assert all(one.chooser.startswith("field-strategy-") for one in depending.values())


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"fuse": 1}, "/fuse"),
        ({"budget_slot_seconds": 0}, "/budget_slot_seconds"),
        ({"objective": {"direction": "maximize"}}, "/objective/metric"),
        ({"objective": {"metric": "test_accuracy"}}, "/objective/metric"),
        (
            {
                "strategy": {
                    "method": "tpe",
                    "trials": 9,
                    "pruner": {"method": "asha", "reduction": 1},
                }
            },
            "/strategy/pruner/reduction",
        ),
        ({"strategy": {"method": "tpe", "trials": 9, "at_once": 0}}, "/strategy/at_once"),
        (
            {"strategy": {"method": "tpe", "trials": 9, "pruner": {"method": "hyperband"}}},
            "/strategy/pruner/method",
        ),
    ],
)
def test_a_mistake_is_told_beside_its_field(
    catalog: Catalog, changes: dict[str, Any], where: str
) -> None:
    spec = {**SWEEP, **changes}
    with pytest.raises(SpecError) as caught:
        plan(spec, catalog)
    problems: list[Problem] = caught.value.problems
    placed = build(spec, catalog).placed(problems)
    assert where in placed and "" not in placed


def test_benchmarks_have_neither_pruner_nor_groups(catalog: Catalog) -> None:
    spec = {**SWEEP, "base": {"kind": "benchmark", "kernel": "dense_relu"}, "strategy": {}}
    del spec["fuse"]
    known = form_of(catalog, spec).pointers
    assert "/objective/metric" in known
    assert "/strategy/pruner/method" not in known and "/fuse" not in known
    # What somebody has written all the same can be taken out.
    more = {**spec, "fuse": 4, "strategy": {"method": "grid", "pruner": {"method": "asha"}}}
    assert {"/strategy/pruner/method", "/fuse"} <= set(form_of(catalog, more).pointers)
