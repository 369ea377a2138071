"""What the measure of conditions takes out of the real statements, without running it."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from db import claims, groups, owner, sweeper, transitions, turns
from tests.faults import mutants as measure
from tests.faults.mutants import mutants, mutated


def test_it_works() -> None:
    """Every condition but the row's name, each by itself; the real function comes back."""
    real = transitions.hold
    found = list(mutants(transitions, "hold"))
    assert [mutant.condition for mutant in found] == [
        "(Trial.state == TrialState.QUEUED) | Trial.at_rung.is_(True)",
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


def test_other_words_are_put_in_each_place() -> None:
    found = measure.replaced()
    assert len(found) == len(measure._PUT) >= 10
    for mutant in found:
        source = ast.unparse(measure._written(mutant.module, mutant.function))
        assert ast.unparse(mutant.code) != source, mutant
        with mutated(mutant):
            pass


def test_histories_that_differ_by_themselves_catch_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(*_: object, **__: object) -> int:
        raise AssertionError("they differ")

    monkeypatch.setattr(measure, "drive", differ)
    with pytest.raises(AssertionError, match="they differ"):
        measure.figures(True)


def test_conditions_that_a_function_returns_count() -> None:
    assert [mutant.condition for mutant in mutants(turns, "due")] == [
        "Trial.held.is_(False)",
        "func.coalesce(Trial.not_before, 0.0) <= db_now()",
    ]


def test_only_differences_count() -> None:
    broken = ProgrammingError("SELECT", {}, Exception("syntax"))
    assert measure.differs(AssertionError("they differ"))
    assert measure.differs(IntegrityError("INSERT", {}, Exception("unique")))
    assert measure.differs(ExceptionGroup("flaky", [AssertionError("they differ")]))
    assert not measure.differs(broken)
    assert not measure.differs(ExceptionGroup("broken", [broken, TypeError("x")]))


@pytest.mark.parametrize("module", [transitions, claims, turns, owner, sweeper, groups])
def test_what_is_not_walked_is_named(module: ModuleType) -> None:
    """Every function with a condition is either taken apart, or listed with what shows it."""
    homes = [
        importlib.import_module(f"{module.__name__}.{one.name}")
        for one in pkgutil.iter_modules(getattr(module, "__path__", []))
    ]
    found = {
        f"{module.__name__}.{node.name}"
        for home in homes or [module]
        for node in ast.parse(inspect.getsource(home)).body
        if isinstance(node, ast.FunctionDef) and list(measure._conditions(node))
    }
    walked = {f"{home.__name__}.{name}" for home, names in measure._WALKED for name in names}
    assert found
    assert found <= walked | {f"db.{name}" for name in measure.NOT_WALKED}
