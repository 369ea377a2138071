"""`make gpu-test` without a GPU: it says so and never succeeds; its table and targets from made-up
rows. Nothing here is a measurement."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.gpu_choice import Answer, ask_driver
from labpool.settings import CHECKOUT
from tests.gpu import __main__ as program
from tests.gpu import independent, table
from tests.gpu.table import Row, Target

WELL = Answer(0, "Driver Version : 575\nCUDA Version : 12.9\nAttached GPUs : 1\n")


def row(kernel: str, variant: str, gb_s: float, **changes: Any) -> Row:
    made = Row(
        kernel, variant, median_ms=1.0, noise_percent=0.4, gb_s=gb_s, gflop_s=100.0,
        percent_of_peak=50.0, peak_gb_s=1000.0, independent_ms=1.01,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


GOOD = [
    row("copy", "on_device", 950.0),
    row("copy", "to_device_pinned", 5000.0),
    row("saxpy", "one_each", 400.0),
    row("saxpy", "wide", 901.0),
    row("vector_add", "wide", 920.0),
    row("reduce_sum", "tree", 930.0),
    row("transpose", "naive", 990.0),
    row("transpose", "padded", 860.0),
    row("matmul", "naive", 1.0, gflop_s=100.0),
    row("matmul", "register_blocked", 1.0, gflop_s=650.0),
]


def missed(rows: list[Row], library: float | None = 1000.0) -> list[str]:
    return [target.name for target in table.targets_of(rows, library) if not target.met]


def replaced(kernel: str, variant: str, **changes: Any) -> list[Row]:
    return [
        dataclasses.replace(one, **changes) if (one.kernel, one.variant) == (kernel, variant)
        else one for one in GOOD
    ]  # fmt: skip


def test_it_works_and_without_a_gpu_it_is_no_success() -> None:
    if ask_driver().status is not None:
        pytest.skip("this machine has an NVIDIA driver")
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu"], cwd=CHECKOUT, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == program.NOT_RUN == 3
    assert "Not run on a GPU: There is no NVIDIA driver here" in done.stderr
    [line] = done.stdout.splitlines()
    said = json.loads(line)
    assert said["ran"] is False and "ok" not in said and "rows" not in said


def test_each_reason_not_to_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    assert "pycuda is not installed → make gpu" in program.why_not(WELL, None)
    assert "unset CUDA_VISIBLE_DEVICES" in program.why_not(WELL, "")
    assert "nvidia-smi -L" in program.why_not(Answer(6, "No devices were found"), None)
    monkeypatch.setattr(program, "find_spec", lambda name: object())
    assert program.why_not(WELL, "0") == ""


def test_targets_are_met_by_the_best_variant() -> None:
    assert missed(GOOD) == []
    found = {target.name: target.found for target in table.targets_of(GOOD, 1000.0)}
    # The copy over the bus is none within the device, and the peak measured is the best copy.
    assert found["copy: % of the best copy"] == pytest.approx(95.0)
    assert found["saxpy: % of the best copy"] == pytest.approx(90.1)
    assert found["transpose padded: % of the best copy"] == pytest.approx(86.0)
    assert found["matmul: % of the vendor's library"] == pytest.approx(65.0)


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (replaced("saxpy", "wide", gb_s=899.0), "saxpy: % of the best copy"),
        (replaced("copy", "on_device", gb_s=899.0), "copy: % of the best copy"),
        (replaced("transpose", "padded", gb_s=849.0), "transpose padded: % of the best copy"),
        (replaced("matmul", "register_blocked", gflop_s=599.0),
         "matmul: % of the vendor's library"),
        (replaced("saxpy", "one_each", noise_percent=1.01), "noise of each row, %"),
        (replaced("saxpy", "wide", noise_percent=None), "noise of each row, %"),
        (replaced("matmul", "naive", independent_ms=1.03), "median against the independent one, %"),
        (replaced("matmul", "naive", independent_ms=0.97), "median against the independent one, %"),
        (replaced("copy", "on_device", independent_ms=None),
         "median against the independent one, %"),
    ],
)  # fmt: skip
def test_each_target_can_be_missed(rows: list[Row], name: str) -> None:
    assert missed(rows) == [name]


def test_what_was_not_measured_is_not_met() -> None:
    assert missed(GOOD, library=None) == ["matmul: % of the vendor's library"]
    assert not Target("a", 1.0, None, at_most=True).met
    without_peak = [dataclasses.replace(one, peak_gb_s=None) for one in GOOD[2:]]
    assert "saxpy: % of the best copy" in missed(without_peak)


def test_a_better_copy_raises_what_is_asked() -> None:
    assert "saxpy: % of the best copy" in missed(replaced("copy", "on_device", gb_s=1100.0))


def test_a_row_is_read_from_a_result() -> None:
    metrics = {"median_ms": 2.0, "noise_percent": 0.1, "gb_s": 3.0, "gflop_s": 4.0, "p5_ms": 1.0}
    made = Row.of("saxpy", "wide", metrics, {"roofline": {"peak_gb_s": 5.0}}, 2.1)
    assert (made.gb_s, made.peak_gb_s, made.percent_of_peak) == (3.0, 5.0, None)
    assert made.difference_percent == pytest.approx(100 / 21)
    assert Row.of("saxpy", "wide", metrics, {}, None).difference_percent is None


def test_the_table_shows_every_row_and_target() -> None:
    rows = [*GOOD, Row("softmax", "online", failed="WRONG_RESULT: n 3")]
    text = "\n".join(table.lines_of(rows, table.targets_of(GOOD, 1000.0)))
    for one in rows:
        assert f"{one.kernel}" in text and one.variant in text
    assert "softmax online: WRONG_RESULT: n 3" in text
    assert text.count("met     ") == 8 and "NOT MET" not in text
    last = json.loads(json.dumps(table.as_json(rows, table.targets_of(GOOD, None))))
    assert len(last["rows"]) == len(rows)
    assert [one["met"] for one in last["targets"]].count(False) == 1


@pytest.mark.parametrize(
    ("suite", "good"),
    [
        ('tests="4" failures="0" errors="0" skipped="0"', True),
        ('tests="4" failures="0" errors="0" skipped="1"', False),
        ('tests="4" failures="1" errors="0" skipped="0"', False),
        ('tests="0" failures="0" errors="0" skipped="0"', False),
    ],
)
def test_a_skipped_test_is_no_pass(tmp_path: Path, suite: str, good: bool) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite {suite}/></testsuites>")
    assert program.tests_are_good(program.counts_of(report)) is good
    assert not program.tests_are_good(program.counts_of(tmp_path / "none.xml"))


class Driver:
    """As much of pycuda as the loop uses; times are given, and what is done is written down."""

    def __init__(self, times: list[float]) -> None:
        self.times, self.done = times, []  # type: ignore[var-annotated]
        driver = self

        class Event:
            def record(self) -> None:
                driver.done.append("event")

            def synchronize(self) -> None:
                driver.done.append("wait")

            def time_since(self, start: Any) -> float:
                return driver.times.pop(0)

        class Context:
            synchronize = staticmethod(lambda: driver.done.append("all"))

        self.Event, self.Context = Event, Context

    def mem_alloc(self, count: int) -> Any:
        return type("Memory", (), {"free": lambda _: None})()

    def memset_d8_async(self, memory: Any, byte: int, count: int) -> None:
        self.done.append("flush")


def test_the_loop_flushes_before_each_run_and_leaves_the_first_out() -> None:
    slow = [99.0] * independent.WARM_UPS
    cuda = Driver([*slow, *[1.0, 2.0, 9.0] * (independent.RUNS // 3)])
    found = independent.median_ms(cuda, lambda: cuda.done.append("run"), 1024)
    assert found == 2.0 and cuda.times == []
    assert cuda.done[:6] == ["all", "flush", "event", "run", "event", "wait"]
    assert cuda.done.count("run") == independent.RUNS + independent.WARM_UPS
