"""What a GPU says of itself through NVIDIA's management library: clocks, power, temperature."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from worker.devices import import_nvml
from worker.wire_types import Json

THROTTLING: Final = {
    "SwPowerCap": "power cap",
    "SwThermalSlowdown": "temperature, by software",
    "HwSlowdown": "hardware slowdown",
    "HwThermalSlowdown": "temperature, by hardware",
    "HwPowerBrakeSlowdown": "power brake",
    "SyncBoost": "slower neighbour (sync boost)",
    "ApplicationsClocksSetting": "application clocks",
}
"""Reasons that make a time longer; an idle clock and what a display sets are none."""


class Sensors:
    """The sensors of one GPU. Whatever its driver does not tell is None, never an error."""

    def __init__(self, bus_id: str, library: Any = None) -> None:
        """`bus_id` is its PCI address, which CUDA and NVML agree on."""
        self._library: Any = library if library is not None else import_nvml()
        self._handle: Any = None
        if self._library is not None:
            with suppress(self._library.NVMLError):
                self._library.nvmlInit()
                self._handle = self._library.nvmlDeviceGetHandleByPciBusId(bus_id.encode())

    @property
    def uuid(self) -> str | None:
        """As slots and CUDA_VISIBLE_DEVICES name it."""
        return _text(self._asked(lambda nvml, gpu: nvml.nvmlDeviceGetUUID(gpu)))

    @property
    def driver(self) -> str | None:
        """The driver's version."""
        return _text(self._asked(lambda nvml, _: nvml.nvmlSystemGetDriverVersion()))

    def clock_mhz(self) -> float | None:
        """Of the multiprocessors, just now."""
        return _number(self._asked(lambda nvml, gpu: _clock(nvml, gpu, nvml.NVML_CLOCK_SM)))

    def reading(self) -> Json:
        """The moment's clocks, power, temperature and what holds the clock back."""
        return {
            "clock_mhz": self.clock_mhz(),
            "memory_clock_mhz": _number(
                self._asked(lambda nvml, gpu: _clock(nvml, gpu, nvml.NVML_CLOCK_MEM))
            ),
            "power_w": _number(
                self._asked(lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000)
            ),
            "temperature_c": _number(
                self._asked(
                    lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)
                )
            ),
            "throttled": [*self._throttled()],
        }

    def close(self) -> None:
        """Let go of the library."""
        if self._handle is not None:
            self._handle = None
            with suppress(self._library.NVMLError):
                self._library.nvmlShutdown()

    def _throttled(self) -> list[str]:
        mask = self._asked(lambda nvml, gpu: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))
        found = []
        for name, text in THROTTLING.items():
            # The library renamed them, and older ones have the first names only.
            names = (f"nvmlClocksThrottleReason{name}", f"nvmlClocksEventReason{name}")
            bit = next(
                (getattr(self._library, one) for one in names if hasattr(self._library, one)), 0
            )
            if mask is not None and int(mask) & int(bit):
                found.append(text)
        return found

    def _asked(self, question: Callable[[Any, Any], Any]) -> Any:
        if self._handle is None:
            return None
        try:
            return question(self._library, self._handle)
        except self._library.NVMLError:
            return None


def _clock(nvml: Any, gpu: Any, which: int) -> Any:
    return nvml.nvmlDeviceGetClockInfo(gpu, which)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
