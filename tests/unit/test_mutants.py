"""What the measure of conditions takes out of the real statements, without running it."""

from __future__ import annotations

import pytest

from db import claims, sweeper, transitions
from tests.faults import mutants as measure
from tests.faults.mutants import mutants, mutated


def test_it_works() -> None:
    """Every condition but the row's name, each by itself; the real function comes back."""
    real = transitions.hold
    found = list(mutants(transitions, "hold"))
    assert [mutant.condition for mutant in found] == [
        "Trial.state == TrialState.QUEUED",
        "Trial.fence == trial.fence",
        "Trial.held.is_(not held)",
    ]
    with mutated(found[0]):
        assert transitions.hold is not real
    assert transitions.hold is real


def test_what_a_guard_joins_and_what_comes_as_an_argument_counts() -> None:
    start = [mutant.condition for mutant in mutants(transitions, "start")]
    assert "Trial.held.is_(False)" in start
    assert len(start) == 4
    assert "still" in [mutant.condition for mutant in mutants(sweeper, "_still")]
    asked = [mutant.condition for mutant in mutants(claims, "_may_claim")]
    assert "Worker.drain_at.is_(None)" in asked
    assert "Slot.id == slot.slot_id" not in asked


def test_histories_that_differ_by_themselves_catch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(*_: object, **__: object) -> int:
        raise AssertionError("they differ")

    monkeypatch.setattr(measure, "drive", differ)
    with pytest.raises(AssertionError, match="they differ"):
        measure.figures(True)
