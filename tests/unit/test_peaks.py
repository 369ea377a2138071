"""Peaks, what follows from them, and what a GPU's sensors say."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labpool.roofline import Roofline
from labpool.sdk import Cost
from tests.support.cuda.fake_device import BYTES_S, OPERATIONS_S, FakeDevice, host_compiler
from worker.runner import peaks, physics
from worker.runner.compiling import compile_apart
from worker.runner.cuda_target import compile_options
from worker.runner.gpu_sensors import Sensors
from worker.runner.physics import ImpossibleTime, Peaks


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernels_of_the_peaks_compile_for_every_generation(dtype: str) -> None:
    for architecture in ("sm_75", "sm_80", "sm_90"):
        options = compile_options(dtype)
        found = compile_apart(peaks.SOURCE, peaks.NAME, architecture, options, None, ours=True)
        assert found.log == ""
        assert set(found.kernels) == {"peak_copy", "peak_fma"}
        for taken in found.kernels.values():
            assert taken.spill_store_bytes == taken.spill_load_bytes == taken.stack_bytes == 0


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("float64", 8)])
def test_peaks_are_what_the_device_does(dtype: str, size: int) -> None:
    device = FakeDevice()
    try:
        compiled = host_compiler(peaks.SOURCE, peaks.NAME, "sm_90", compile_options(dtype))
        found = peaks.gpu_peaks(device, device.load(compiled.cubin), size)
        assert found.bytes_s == pytest.approx(BYTES_S, rel=0.01)
        assert found.operations_s == pytest.approx(OPERATIONS_S, rel=0.01)
        assert device.held_bytes == 0
    finally:
        device.end()


def test_a_processors_peaks_are_measured() -> None:
    found = peaks.cpu_peaks("float64", 10**6)
    # A computer of this century, and none of the next.
    assert 1e8 < found.bytes_s < 1e13
    assert 1e8 < found.operations_s < 1e14


def test_a_library_whose_threads_wait_for_each_other_lowers_no_peak(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def waits(act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            time.sleep(0.02)
            return act(*arguments, **more)

        return run

    for name in ("dot", "matmul"):
        monkeypatch.setattr(np, name, waits(getattr(np, name)))
    found = peaks.cpu_peaks("float32", 10**6)
    # The product alone would come to 2 * 128**3 operations in 20 ms at the smallest side.
    assert found.operations_s > 3e8 and found.bytes_s > 1e9


@pytest.mark.parametrize(
    ("operations", "limit", "percent"), [(1000, "memory", 50.0), (100_000, "arithmetic", 100.0)]
)
def test_a_roofline_is_one_that_the_pages_draw(operations: int, limit: str, percent: float) -> None:
    # 1000 bytes at 1 GB/s take a microsecond, 100,000 operations at 50 GFLOP/s two.
    found = physics.roofline(Cost(1000, operations), 2e-6, Peaks(1e9, 50e9)).describe()
    drawn = Roofline.of({"roofline": found})
    assert drawn is not None
    assert (drawn.limit, drawn.percent) == (limit, pytest.approx(percent))
    assert drawn.attainable_gflop_s == pytest.approx(drawn.roof(drawn.intensity))


@pytest.mark.parametrize(
    ("cost", "seconds", "absorbed", "possible"),
    [
        (Cost(1150, 1), 1.01e-6, 0, True),
        (Cost(1150, 1), 0.99e-6, 0, False),
        (Cost(1150, 1), 0.99e-6, 50, True),
        (Cost(1, 2300), 1.01e-6, 0, True),
        (Cost(1, 2300), 0.99e-6, 10**6, False),
        (Cost(1, 1), 0.0, 0, False),
    ],
)
def test_the_referee_holds_a_time_against_both_peaks(
    cost: Cost, seconds: float, absorbed: int, possible: bool
) -> None:
    ruling = physics.rule(cost, seconds, Peaks(1e9, 2e9), "gpu", absorbed)
    assert ruling.possible is possible
    if possible:
        physics.require_possible(ruling, seconds)
    else:
        with pytest.raises(ImpossibleTime, match="measured"):
            physics.require_possible(ruling, seconds)


class NvmlError(Exception):
    """What the library raises."""


def library(**changes: Any) -> Any:
    """As much of NVIDIA's management library as sensors use."""

    def refuse(*_: Any) -> Any:
        raise NvmlError

    functions = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByPciBusId": lambda bus: ("gpu", bus),
        "nvmlDeviceGetUUID": lambda gpu: "GPU-1",
        "nvmlSystemGetDriverVersion": lambda: b"575.57",
        "nvmlDeviceGetClockInfo": lambda gpu, which: {1: 1980, 2: 3201}[which],
        "nvmlDeviceGetPowerUsage": lambda gpu: 312_500,
        "nvmlDeviceGetTemperature": lambda gpu, which: 41,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu: 0x4 | 0x20 | 0x1,
    }
    constants = {
        "NVMLError": NvmlError, "NVML_CLOCK_SM": 1, "NVML_CLOCK_MEM": 2,
        "NVML_TEMPERATURE_GPU": 0, "nvmlClocksThrottleReasonSwPowerCap": 0x4,
        "nvmlClocksEventReasonSwThermalSlowdown": 0x20, "nvmlClocksThrottleReasonGpuIdle": 0x1,
    }  # fmt: skip
    given = {name: refuse if value is None else value for name, value in changes.items()}
    return SimpleNamespace(**{**functions, **constants, **given})


def test_sensors_say_what_holds_a_gpu_back() -> None:
    sensors = Sensors("0000:17:00.0", library())
    assert (sensors.uuid, sensors.driver) == ("GPU-1", "575.57")
    assert sensors.reading() == {
        "clock_mhz": 1980.0,
        "memory_clock_mhz": 3201.0,
        "power_w": 312.5,
        "temperature_c": 41.0,
        "throttled": ["power cap", "temperature, by software"],
    }


def test_what_a_driver_does_not_tell_is_none() -> None:
    part = library(nvmlDeviceGetPowerUsage=None, nvmlDeviceGetCurrentClocksThrottleReasons=None)
    reading = Sensors("0000:17:00.0", part).reading()
    assert (reading["power_w"], reading["throttled"]) == (None, [])
    assert reading["clock_mhz"] == 1980.0
    for mute in (library(nvmlInit=None), library(nvmlDeviceGetHandleByPciBusId=None)):
        sensors = Sensors("0000:17:00.0", mute)
        assert (sensors.uuid, sensors.clock_mhz()) == (None, None)
        sensors.close()
