"""The harness on a GPU that is none: wrong kernels and cheats do not get a time, right ones do.

Kernels run through the host's compiler and the clock is made up: this shows the harness, no speed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cuda.doubling import (
    DOES_IT_ONCE,
    FAULTS,
    KNOWS_THE_SEED,
    NEVER_ENDS,
    REPLAYS,
    RIGHT,
    WRONG,
    Doubling,
)  # fmt: skip
from tests.support.cuda.fake_device import BYTES_S, OPERATIONS_S, FakeDevice, host_compiler
from tests.support.heard import Slot
from worker.runner import cuda_target, peaks, sampling
from worker.runner.benchmark import Plan, measure
from worker.runner.cuda_target import CudaTarget
from worker.runner.device import DeviceFault
from worker.runner.physics import ImpossibleTime
from worker.runner.reasons import GpuTrouble, WrongResult
from worker.runner.running import Hung
from worker.wire_types import Json

SMALL, LARGE = 1001, 20_003
"""Inputs of the first are drawn anew for each sample; those of the second are windows."""
Measure = Callable[..., tuple[dict[str, float], Json]]


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot()
    yield slot
    slot.close()


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "WARM_UP_S", 0.0)
    monkeypatch.setattr(sampling, "COOLING_S", 0.0)
    monkeypatch.setattr(sampling, "MOST_BATCHES", 10)
    monkeypatch.setattr(peaks, "REPEATS", 2)
    monkeypatch.setattr(peaks, "BLOCKS_EACH", 2)
    monkeypatch.setattr(cuda_target, "FRESH_BYTES", 16 * 1024)


@pytest.fixture
def measured(tmp_path: Path, slot: Slot) -> Measure:
    """Measures a source of the doubling kernel on a fake device."""

    def run(source: str, device: FakeDevice | None = None, n: int = SMALL, seed: int = 1) -> Any:
        fake = device or FakeDevice()
        path = tmp_path / "kernel.cu"
        path.write_text(source)
        plan = Plan({"n": n}, "float32", "plain", {}, "gpu", seed, 10)
        try:
            target = CudaTarget(Doubling(), path, "float32", {}, "plain", fake, host_compiler, 5.0)
            try:
                return measure(Doubling(), target, plan, 1e-6, slot.report)
            finally:
                target.close()
        finally:
            fake.end()

    return run


@pytest.mark.parametrize("n", [SMALL, LARGE])
def test_a_right_kernel_is_timed(measured: Measure, n: int) -> None:
    device = FakeDevice()
    metrics, summary = measured(RIGHT, device, n)
    # Twice as long as its bytes need, and a microsecond.
    seconds = 1e-6 + 2 * 8 * n / BYTES_S
    assert metrics["median_ms"] == pytest.approx(1e3 * seconds, rel=1e-6)
    assert metrics["batch_ms"] == pytest.approx(1e3 * seconds, rel=1e-6)
    assert metrics["gb_s"] == pytest.approx(8 * n / seconds / 1e9)
    assert metrics["max_relative_error"] == 0
    assert metrics["to_device_ms"] > metrics["from_device_ms"] * 0.5 > 0
    assert device.closed
    roofline: Any = summary["roofline"]
    assert roofline["peak_gb_s"] == pytest.approx(BYTES_S / 1e9, rel=0.01)
    assert roofline["peak_gflop_s"] == pytest.approx(OPERATIONS_S / 1e9, rel=0.01)
    assert roofline["limit"] == "memory" and roofline["intensity"] == 1 / 8
    assert 40 < metrics["percent_of_peak"] == roofline["percent"] < 51


def test_a_result_has_every_part(measured: Measure) -> None:
    _, summary = measured(RIGHT)
    timing: Any = summary["timing"]
    assert set(timing) == {"cold", "batch", "discarded"} and timing["discarded"] == 0
    names = {"samples", "median_ms", "median_low_ms", "median_high_ms", "p5_ms", "p95_ms"}
    for part in ("cold", "batch"):
        assert set(timing[part]) == {*names, "noise_percent"}
        assert timing[part]["samples"] >= 10
    gpu: Any = summary["gpu"]
    assert set(gpu) == {"name", "uuid", "driver", "cuda", "memory_bytes", "before", "after"}
    assert set(gpu["before"]) == set(gpu["after"]) >= {"clock_mhz", "power_w", "throttled"}
    transfer: Any = summary["transfer"]
    assert transfer["bytes_to_device"] == transfer["bytes_from_device"] == 4 * SMALL
    referee: Any = summary["referee"]
    assert referee["verdict"] == "possible" and referee["least_ms"] > 0
    compiled: Any = summary["compile"]
    assert compiled["architecture"] == "sm_90" and compiled["options"] == ["-DREAL=float"]


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_kernel_is_never_timed(measured: Measure, name: str) -> None:
    source, said = WRONG[name]
    device = FakeDevice()
    with pytest.raises(WrongResult, match=re.escape(said)):
        measured(source, device)
    assert "peak_copy" not in device.launched
    assert device.closed


def test_a_kernel_that_knows_the_seed_fails_on_a_secret_one(measured: Measure) -> None:
    firsts = [
        Doubling().inputs(sizes, "float32", 1 + number)["x"][0]
        for number, sizes in enumerate(Doubling().edge_sizes({}))
    ]
    known = " || x[0] == ".join(f"(REAL){float(first)!r}" for first in firsts)
    device = FakeDevice()
    with pytest.raises(WrongResult, match=r"relative error 0\.5"):
        measured(KNOWS_THE_SEED.replace("{number}", known), device)
    # It passed all of the public seed: each size with plain numbers, and with special ones.
    assert len(device.launched) == 2 * len(firsts) + 1


@pytest.mark.parametrize("n", [SMALL, LARGE])
@pytest.mark.parametrize("source", [REPLAYS, DOES_IT_ONCE], ids=["replays", "does it once"])
def test_an_answer_that_is_remembered_does_not_rank(measured: Measure, source: str, n: int) -> None:
    with pytest.raises(WrongResult):
        measured(source, n=n)


def test_a_kernel_that_never_ends_is_left_behind(measured: Measure) -> None:
    device = FakeDevice(hang_s=1.0)
    with pytest.raises(Hung, match="given up after 5 s"):
        measured(NEVER_ENDS, device)


def test_a_fault_of_the_gpu_is_told(measured: Measure) -> None:
    device = FakeDevice()
    with pytest.raises(DeviceFault, match="illegal address"):
        measured(FAULTS, device)
    assert device.closed


def test_a_time_that_beats_physics_is_no_result(measured: Measure) -> None:
    with pytest.raises(ImpossibleTime, match=r"ms, but 143,640 bytes at the measured 0\.\d+"):
        measured(RIGHT, FakeDevice(lambda entry: 0.5), LARGE)


def test_a_time_at_the_peak_is_one(measured: Measure) -> None:
    metrics, _ = measured(RIGHT, FakeDevice(lambda entry: 1.0), LARGE)
    assert 95 < metrics["percent_of_peak"] < 101


def test_what_lies_in_the_cache_need_not_have_been_written(measured: Measure) -> None:
    # All of the output fits: reading alone takes half the time.
    device = FakeDevice(lambda entry: 0.6, level2_bytes=4 * LARGE)
    measured(RIGHT, device, LARGE)


def test_samples_at_a_low_clock_are_discarded(measured: Measure) -> None:
    clocks = itertools.chain([1000.0], itertools.cycle([740.0, 760.0]))
    metrics, summary = measured(RIGHT, FakeDevice(clocks=clocks))
    timing: Any = summary["timing"]
    assert metrics["samples"] >= 10
    assert timing["discarded"] >= 19


def test_a_clock_that_stays_low_ends_it(measured: Measure) -> None:
    device = FakeDevice(clocks=itertools.repeat(700.0))
    with pytest.raises(GpuTrouble, match="at 700 MHz, below 75 % of its 1000 MHz"):
        measured(RIGHT, device)


def test_a_clock_that_nobody_tells_discards_nothing(measured: Measure) -> None:
    _, summary = measured(RIGHT, FakeDevice(clocks=itertools.repeat(None)))
    timing: Any = summary["timing"]
    assert timing["discarded"] == 0


def test_no_room_is_told_as_such(measured: Measure) -> None:
    with pytest.raises(MemoryError, match="no room"):
        measured(RIGHT, n=10_000_000)
