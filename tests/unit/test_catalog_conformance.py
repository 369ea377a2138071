"""What every entry of the catalog must say of itself. A new one is tested without writing a test.

How models train is in `test_catalog_networks.py` and `test_catalog_training.py`, kernels are in
`test_catalog_kernels.py`, data sets in `test_datasets.py`.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from labpool.catalog import BoardEntry, Entry, ModelEntry
from labpool.errors import SpecError
from labpool.model_form import LOSS
from labpool.parameters import fill
from labpool.planning import plan
from labpool.reading import read_spec
from tests.support.conformance import (
    planned,
    spec_of,
    suiting,
    values_at_the_bounds,
    values_out_of_range,
)
from tests.support.runners import CATALOG

MODELS = pytest.mark.parametrize("entry", CATALOG.models.values(), ids=CATALOG.models.keys())
BOARDS = pytest.mark.parametrize("entry", CATALOG.boards.values(), ids=CATALOG.boards.keys())
FOLDERS = [*CATALOG.models.values(), *CATALOG.kernels.values()]
EVERYTHING = [*FOLDERS, *CATALOG.datasets.values(), *CATALOG.boards.values()]

RUN_METRICS = {"train_seconds", "images_per_second", "epochs_run", "best_epoch"}
BENCHMARK_METRICS = {
    *("median_ms", "p5_ms", "p95_ms", "noise_percent", "gflop_s", "gb_s", "max_relative_error"),
    *("batch_ms", "percent_of_peak"),
}


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.name)
def test_an_entry_says_what_it_is(entry: Entry) -> None:
    assert entry.title and entry.summary.endswith(".")
    assert len(entry.summary) < 120


@pytest.mark.parametrize("entry", FOLDERS, ids=lambda entry: entry.name)
def test_a_folder_names_a_slide_and_has_a_page(entry: Entry) -> None:
    assert entry.slide
    page = (entry.path / "README.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {entry.name}\n") and len(page) > 200
    assert "".join(entry.slide.split()) in "".join(page.replace("*", "").split())


@pytest.mark.parametrize("entry", FOLDERS, ids=lambda entry: entry.name)
def test_an_example_can_be_submitted(entry: Entry) -> None:
    spec = read_spec((entry.path / "example.yaml").read_text(encoding="utf-8"), "yaml")
    trials = plan(spec, CATALOG).trials
    assert {trial.code_name for trial in trials} == {entry.name}


@MODELS
def test_parameters_come_back_from_json_as_they_were(entry: ModelEntry) -> None:
    declared = dict(entry.parameters)
    filled, problems = fill(declared, {}, of=entry.name)
    assert problems == [] and filled.keys() == declared.keys()
    written = json.loads(json.dumps(filled, allow_nan=False))
    assert fill(declared, written, of=entry.name) == (filled, [])


@MODELS
def test_a_resolved_spec_resolves_to_itself(entry: ModelEntry) -> None:
    for dataset in suiting(entry):
        trial = planned(spec_of(entry, dataset))
        again = planned(json.loads(json.dumps(trial.spec, allow_nan=False)))
        assert again.spec == trial.spec and again.trace_key == trial.trace_key


@MODELS
def test_every_choice_and_bound_is_accepted(entry: ModelEntry) -> None:
    dataset = suiting(entry)[0]
    for name, parameter in entry.parameters.items():
        for value in values_at_the_bounds(parameter):
            chosen = planned(spec_of(entry, dataset, parameters={name: value})).spec["parameters"]
            if isinstance(value, int | float | str):
                assert chosen[name] == value


@MODELS
def test_what_is_out_of_range_is_refused_by_its_name(entry: ModelEntry) -> None:
    dataset = suiting(entry)[0]
    for name, parameter in entry.parameters.items():
        assert parameter.meaning.endswith(".")
        refused = 0
        for value in values_out_of_range(parameter):
            with pytest.raises(SpecError) as caught:
                planned(spec_of(entry, dataset, parameters={name: value}))
            places = [problem.pointer for problem in caught.value.problems]
            assert all(f"{place}/".startswith(f"/parameters/{name}/") for place in places), value
            refused += 1
        assert refused >= 5
    with pytest.raises(SpecError, match="/parameters/no_such_thing: is not known"):
        planned(spec_of(entry, dataset, parameters={"no_such_thing": 1}))


@BOARDS
def test_a_board_ranks_something_that_is_measured(entry: BoardEntry) -> None:
    assert entry.metric in measured_by(entry)
    assert entry.unit
    known: dict[str, Any] = {
        # A board may wait for a data set that has to be fetched first.
        "dataset": {*CATALOG.datasets, "mnist"},
        "model": CATALOG.models,
        "kernel": CATALOG.kernels,
        "device": {"cpu", "gpu"},
    }
    for key, wanted in entry.where.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        assert all(value in known.get(key, {value}) for value in values)


def measured_by(entry: BoardEntry) -> set[str]:
    """The metrics of the results that a board may compare."""
    if entry.kind == "benchmark":
        return BENCHMARK_METRICS
    named = entry.where.get("model", list(CATALOG.models))
    models = [CATALOG.models[name] for name in ([named] if isinstance(named, str) else named)]
    judged = {LOSS, *(name for one in models for name in one.judging.metrics)}
    return RUN_METRICS | {f"{split}_{name}" for split in ("val", "test") for name in judged}


def test_the_values_that_are_tried_are_values() -> None:
    """The tests above would pass with nothing to try."""
    tried = [
        value
        for entry in CATALOG.models.values()
        for parameter in entry.parameters.values()
        for value in values_at_the_bounds(parameter)
    ]
    assert len(tried) > 20
    assert all(math.isfinite(value) for value in tried if isinstance(value, float))
