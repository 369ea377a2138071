"""What a sweep says of its search: what is refused, and in which words; what is filled in."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from labpool.catalog import Catalog
from labpool.errors import SpecError
from labpool.planning import plan
from labpool.spec import spec_schema

ASHA = {"method": "asha"}


def sweep(strategy: Any, base: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "kind": "sweep",
        "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 9, **(base or {})},
        "strategy": strategy,
        "space": {"learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"}},
        **more,
    }


def drawn(**more: Any) -> dict[str, Any]:
    return {"method": "random", "trials": 9, **more}


def test_it_works(catalog: Catalog) -> None:
    made = plan(sweep({"method": "tpe", "trials": 40, "pruner": ASHA}), catalog)
    assert len(made.trials) == 16, "the first of 40"
    assert made.spec["objective"] == {"metric": "val_accuracy", "direction": "maximize"}
    jsonschema.validate(dict(made.spec), spec_schema())


@pytest.mark.parametrize(
    ("raw", "where", "words", "fix"),
    [
        (sweep({"method": "bayes"}), "/strategy/method", "one of grid, random, qmc, tpe", None),
        (sweep({"method": "tpa", "trials": 9}), "/strategy/method", "must be one of", "tpe"),
        (sweep({"trials": 9}), "/strategy/method", "is missing", "grid, random, qmc, tpe"),
        (sweep({"method": "tpe"}), "/strategy/trials", "is missing", None),
        (sweep(drawn(at_once=4)), "/strategy/at_once", "is not known here", "Known here"),
        (sweep(drawn(trial=4)), "/strategy/trial", "is not known here", "trials"),
        (
            sweep({"method": "tpe", "trials": 9, "at_once": 0}),
            "/strategy/at_once",
            "at least 1",
            None,
        ),
        (sweep(drawn(pruner="asha")), "/strategy/pruner", "must be", None),
        (sweep(drawn(pruner={})), "/strategy/pruner/method", "is missing", "median, asha"),
        (
            sweep(drawn(pruner={"method": "hyperband"})),
            "/strategy/pruner/method",
            "median, asha",
            None,
        ),
        (
            sweep(drawn(pruner={**ASHA, "eta": 3})),
            "/strategy/pruner/eta",
            "is not known",
            "reduction",
        ),
        (
            sweep(drawn(pruner={**ASHA, "reduction": 1})),
            "/strategy/pruner/reduction",
            "at least 2",
            None,
        ),
        (
            sweep(drawn(pruner={**ASHA, "min_epochs": 9})),
            "/strategy/pruner/min_epochs",
            "less than the 9",
            None,
        ),
        (
            sweep(drawn(pruner=ASHA), objective={"metric": "test_accuracy"}),
            "/objective/metric",
            "chosen by",
            "val_accuracy",
        ),
        (
            sweep(drawn(pruner=ASHA), objective={"metric": "val_acuracy"}),
            "/objective/metric",
            "after each epoch",
            "val_accuracy",
        ),
        (
            sweep(drawn(), objective={"metric": "wonder"}),
            "/objective/direction",
            "is missing",
            "maximize or minimize",
        ),
        (
            sweep(drawn(), objective={"metrik": "val_loss"}),
            "/objective/metrik",
            "is not known",
            "metric",
        ),
        (sweep(drawn(), budget_slot_seconds=0), "/budget_slot_seconds", "greater than 0", None),
        (
            sweep(drawn(pruner=ASHA), space={"epochs": [3, 9]}),
            "/space/epochs",
            "what asha decides",
            "base",
        ),
        (
            {
                **sweep(drawn(pruner=ASHA), space={"launch.block_x": [16, 32]}),
                "base": {"kind": "benchmark", "kernel": "dense_relu"},
            },
            "/strategy/pruner",
            "for training runs",
            "Leave it out",
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_fix(
    catalog: Catalog, raw: dict[str, Any], where: str, words: str, fix: str | None
) -> None:
    with pytest.raises(SpecError) as caught:
        plan(raw, catalog)
    found = {problem.pointer: problem for problem in caught.value.problems}
    assert where in found, caught.value.problems
    assert words in found[where].message
    if fix:
        assert fix in (found[where].suggestion or "")


def test_asha_needs_the_epochs(catalog: Catalog) -> None:
    raw = sweep(drawn(pruner=ASHA))
    del raw["base"]["epochs"]
    with pytest.raises(SpecError) as caught:
        plan(raw, catalog)
    assert [problem.pointer for problem in caught.value.problems] == ["/base/epochs"]


def test_the_objective_is_what_chooses_the_models_best_epoch(catalog: Catalog) -> None:
    shapes = {"model": "segment", "dataset": "shapes"}
    made = plan(sweep(drawn(pruner=ASHA), shapes), catalog)
    selects = catalog.models["segment"].judging.selects
    assert made.spec["objective"]["metric"] == f"val_{selects}"
    made = plan(sweep(drawn(pruner=ASHA), objective={"metric": "val_loss"}), catalog)
    assert made.spec["objective"] == {"metric": "val_loss", "direction": "minimize"}
    tuned = {
        "kind": "sweep",
        "base": {"kind": "benchmark", "kernel": "dense_relu"},
        "strategy": {"method": "tpe", "trials": 5},
        "space": {"sizes.batch": {"low": 16, "high": 64}},
    }
    sizes = sorted(catalog.kernels["dense_relu"].sizes)
    tuned["space"] = {f"sizes.{sizes[0]}": {"low": 16, "high": 64}}
    assert plan(tuned, catalog).spec["objective"] == {
        "metric": "median_ms",
        "direction": "minimize",
    }


def test_a_sweep_that_goes_by_no_results_is_stored_as_it_was_written(catalog: Catalog) -> None:
    for strategy in ({"method": "grid"}, drawn(seed=1), {"method": "qmc", "trials": 9}):
        raw = sweep(strategy)
        raw["space"] = {"learning_rate": [0.1, 0.2]}
        assert plan(raw, catalog).spec == raw
