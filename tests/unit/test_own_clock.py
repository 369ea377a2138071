"""The referee's clock beside told times: what it lets pass and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from worker.runner.own_clock import Clocked, rule_on_clock
from worker.runner.reasons import WrongResult

RANDOM = np.random.default_rng(3)
IDLE_RUN_S, IDLE_WHOLE_S = 2e-4, 3e-2


def runs(
    actual_s: float,
    told: float = 1.0,
    *,
    hidden: bool = False,
    jitter_s: float = 1e-5,
    count: int = 30,
) -> list[Clocked]:
    """Runs that take `actual_s` and tell a share of it; what is hidden is done beside the run."""
    found = []
    for _ in range(count):
        first, second = RANDOM.exponential(jitter_s, 2)
        run_s = IDLE_RUN_S + first + (actual_s * told if hidden else actual_s)
        found.append(Clocked(max(actual_s * told, 1e-9), run_s, IDLE_WHOLE_S + actual_s + second))
    return found


IDLE = runs(0.0)


def test_it_works() -> None:
    rulings = rule_on_clock(runs(0.01), IDLE)
    for name in ("run", "whole"):
        ruling = rulings[name]
        assert isinstance(ruling, dict)
        assert float(str(ruling["unexplained_ms"])) < 0.1
        assert float(str(ruling["slack_ms"])) == pytest.approx(2.5, rel=0.01)


@pytest.mark.parametrize("told", [0.01, 0.1, 0.5, 0.79])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_lie_that_matters_is_seen(told: float, hidden: bool) -> None:
    with pytest.raises(WrongResult, match="referee's clock saw"):
        rule_on_clock(runs(0.01, told, hidden=hidden), IDLE)


def test_telling_the_truth_at_fewer_than_half_of_the_runs_does_not_help() -> None:
    mixed = runs(0.01, 0.1, count=16) + runs(0.01, count=14)
    with pytest.raises(WrongResult, match="referee's clock saw"):
        rule_on_clock(mixed, IDLE)


def test_an_honest_kernel_on_a_busy_host_passes() -> None:
    late = [Clocked(run.told_s, run.run_s + 0.5, run.whole_s + 0.5) for run in runs(0.01)[:12]]
    rule_on_clock(runs(0.01)[:18] + late, IDLE)
    rule_on_clock(runs(0.001, jitter_s=5e-3), runs(0.0, jitter_s=5e-3))


def test_what_is_smaller_than_the_noise_passes_as_the_page_says() -> None:
    rule_on_clock(runs(5e-5, 0.1), IDLE)


def test_more_than_went_by_is_refused() -> None:
    [first, *others] = runs(0.01)
    lying = Clocked(first.run_s * 2, first.run_s, first.whole_s)
    with pytest.raises(WrongResult, match=r"told of .* ms for a run that took"):
        rule_on_clock([lying, *others], IDLE)
