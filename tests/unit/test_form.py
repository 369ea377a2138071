"""What is said of a field that stands in the wrong place."""

from __future__ import annotations

from labpool.form import form_problems
from labpool.spec import SweepSpec

SWEEP = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits"},
    "strategy": {"method": "grid"},
    "space": {"seed": [1, 2]},
}


def test_what_belongs_to_the_runs_of_a_sweep_goes_under_its_base() -> None:
    [problem] = form_problems(SweepSpec, {**SWEEP, "priority": "low"})

    assert (problem.pointer, problem.suggestion) == ("/priority", "Put it under 'base'.")


def test_what_nothing_knows_is_told_what_is_known() -> None:
    [problem] = form_problems(SweepSpec, {**SWEEP, "spaces": {}})

    assert problem.suggestion == "Did you mean 'space'?"
