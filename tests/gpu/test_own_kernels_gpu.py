"""Users' own kernels on a real GPU, behind the real fence. Skips itself where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gpu.test_dense_relu_gpu import gpu
from tests.support import own_cheating
from tests.support.own_kernels import SAXPY
from tests.support.reports import Quiet
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading
from worker.runner.benchmark import FUNCTIONS, Plan
from worker.runner.own_benchmark import Task, measure_own
from worker.runner.reasons import WrongResult

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu")]
__all__ = ["gpu"]

CHECKED = Plan({"n": 1000}, "float32", "one_each", {"threads": 256}, "gpu", 1, 10)
LARGE = Plan({"n": 2**24}, "float32", "one_each", {"threads": 256}, "gpu", 1, 10)


def measured(text: str, plan: Plan = CHECKED) -> tuple[dict[str, float], dict[str, Any]]:
    entry = CATALOG.kernels["saxpy"]
    kernel: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    metrics, summary = measure_own(Task(kernel, plan, 1e-6, text), Quiet.of(), lambda _: None)
    return metrics, dict(summary)


def test_it_works() -> None:
    metrics, summary = measured(SAXPY, LARGE)
    assert 0 < metrics["percent_of_peak"] <= 115
    assert metrics["max_relative_error"] <= 1e-6
    assert summary["referee"]["verdict"] == "possible"


@pytest.mark.parametrize("what", own_cheating.CHEATS)
def test_a_source_that_cheats_does_not_rank(what: str) -> None:
    with pytest.raises(WrongResult, match=r"element|relative error"):
        measured(own_cheating.CHEATS[what])


def test_an_illegal_access_is_the_kernels_fault() -> None:
    with pytest.raises(WrongResult, match="The GPU passed a known kernel since"):
        measured(own_cheating.BEYOND)
