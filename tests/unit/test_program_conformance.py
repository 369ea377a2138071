"""What every model that trains itself must keep to. A new one is tested without writing a test."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np
import pytest

from labpool.catalog import ModelEntry
from labpool.parameters import fill
from labpool.planning import plan
from labpool.reading import read_spec
from labpool.sdk import Epoch, Exam, Examples, State
from tests.support.conformance import NETWORKS, PROGRAMS, QUICK
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading
from worker.runner.digests import digest_of_weights
from worker.runner.examples import load_splits
from worker.runner.own_program import FUNCTIONS, OwnProgram
from worker.runner.program_loop import ProgramPlan


class Case(NamedTuple):
    """A program of the catalog as its example sets it up, with short epochs."""

    program: OwnProgram
    plan: ProgramPlan
    data: Examples | None

    def run(self, epochs: int, seed: int = 0, state: State | None = None, first: int = 0) -> State:
        now = self.program.begin(seed, self.data) if state is None else state
        for number in range(first, first + epochs):
            now, metrics = self.program.advance(now, self.epoch(number, seed), self.data)
            assert all(math.isfinite(value) for value in metrics.values())
        return now

    def epoch(self, number: int, seed: int, cancel_point: Any = lambda done: None) -> Epoch:
        return dataclasses.replace(self.plan, seed=seed).epoch(number, cancel_point)

    def judged(self, state: State, split: Any = "validation") -> dict[str, float]:
        return self.program.evaluate(state, Exam(split, lambda done: None), self.data)


def case_of(entry: ModelEntry) -> Case:
    text = (entry.path / "example.yaml").read_text(encoding="utf-8")
    spec = plan(read_spec(text, "yaml"), CATALOG).trials[0].spec
    short = QUICK.get(entry.name, {}).get("parameters", {})
    parameters, problems = fill(dict(entry.parameters), short, of=entry.name)
    assert not problems
    code = loading.load(reference_to(entry), entry.path / "model.py", *FUNCTIONS)
    data = None
    if entry.needs_data:
        dataset = CATALOG.datasets[spec["dataset"]]
        splits, shape = load_splits(
            reference_to(dataset), dataset.path, spec["dataset_parameters"], entry.input
        )
        data = Examples(splits.training.x, splits.training.y, shape.classes)
    return Case(OwnProgram(code, parameters, entry.judging), ProgramPlan.of(spec), data)


@pytest.fixture(params=PROGRAMS.values(), ids=PROGRAMS.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


def digest(state: State) -> str:
    return digest_of_weights(list(state.values()))


def test_every_model_is_tried_as_a_network_or_as_a_program() -> None:
    assert {"ten_lines", "dqn"} <= PROGRAMS.keys()
    assert not PROGRAMS.keys() & NETWORKS.keys()
    assert PROGRAMS.keys() | NETWORKS.keys() == CATALOG.models.keys()


def test_a_seed_gives_the_same_bits_and_another_does_not(case: Case) -> None:
    assert digest(case.run(0)) == digest(case.run(0)) != digest(case.run(0, seed=1))
    assert digest(case.run(2)) == digest(case.run(2)) != digest(case.run(2, seed=1))


def test_a_state_put_back_goes_on_bit_for_bit(case: Case) -> None:
    half = case.run(2)
    kept = {name: array.copy() for name, array in half.items()}
    whole = case.run(2, state=half, first=2)
    again = case_of_same(case).run(2, state=kept, first=2)
    assert digest(whole) == digest(again)


def case_of_same(case: Case) -> Case:
    """The same program with its module loaded anew, as in another process."""
    return case_of(next(e for e in PROGRAMS.values() if e.judging is case.program.judging))


def test_an_epoch_changes_what_is_learned(case: Case) -> None:
    before = case.run(0)
    floats = [name for name, array in before.items() if array.dtype.kind == "f"]
    after = case.run(2)
    assert any(not np.array_equal(before[name], after[name]) for name in floats)


def test_judging_and_predicting_leave_no_trace(case: Case) -> None:
    state = case.run(1)
    before = digest(state)
    assert case.judged(state) == case.judged(state)
    case.judged(state, "test")
    x = np.zeros((5, 4 if case.data is None else case.data.x.shape[1]), np.float32)
    outputs = case.program.predict(state, x)
    assert outputs.shape[0] == 5 and np.isfinite(outputs).all()
    assert np.array_equal(outputs, case.program.predict(state, x))
    assert digest(state) == before


def test_cancel_points_are_many_and_what_they_raise_goes_through(case: Case) -> None:
    told: list[float] = []
    state = case.program.begin(0, case.data)
    case.program.advance(state, case.epoch(0, 0, told.append), case.data)
    assert told and told == sorted(told) and told[0] >= 0 and told[-1] <= 1

    class Enough(Exception):
        pass

    def stop(done: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        case.program.advance(case.run(0), case.epoch(0, 0, stop), case.data)
    with pytest.raises(Enough):
        case.program.evaluate(case.run(0), Exam("validation", stop), case.data)
