"""What a spec says of its beginning, before anybody looks into a database."""

from __future__ import annotations

from typing import Any

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
