"""A process for a user's kernel as the referee starts it, with a fake GPU in real time.

`with_cheat` gives the code that starts one whose harness was taken over, as by a hole in a driver.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cuda.fake_device import Event, FakeDevice
from worker.runner.device import DeviceFault, Shape3
from worker.runner.reasons import GpuTrouble

TIMED, LAUNCH_S = 1000, 0.1
"""What a launch at the size that is timed takes at least: far more than a busy host delays."""
DRIVER_S = 15
"""Seconds of the processor for each of the fake's processes."""
MAKE = "from tests.support.cuda.own_fake import make"


def with_cheat(name: str) -> str:
    """Starts a process in which one of `own_cheats` is at work."""
    return f"{MAKE}; from tests.support.cuda import own_cheats; own_cheats.{name}()"


@dataclass
class RealTimeDevice(FakeDevice):
    """Kernels run at once when they are queued, and events read the host's clock."""

    def record(self, event: Event) -> None:
        event.at = time.perf_counter()

    def launch(self, function: Any, grid: Shape3, block: Shape3, arguments: Sequence[Any]) -> None:
        is_timed = function[1] == "saxpy" and int(arguments[-1]) == TIMED
        until = time.perf_counter() + is_timed * LAUNCH_S
        try:
            super().launch(function, grid, block, arguments)
        except PermissionError:
            # Behind the fence not even its driver's process can be ended; the referee will.
            if self._has_crashed():
                raise DeviceFault("The GPU reports a fault: an illegal address.") from None
            self._hung = True
            return
        while time.perf_counter() < until:
            time.sleep(0.0001)

    def seconds(self) -> float:
        return super().seconds() if self._hung else time.perf_counter()

    def _has_crashed(self) -> bool:
        """Whether the driver's process ends by itself, if only a moment later than its pipe."""
        process, until = self._kernels._process, time.monotonic() + 2.0
        while process is not None and process.poll() is None:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


def make() -> RealTimeDevice:
    """The device, its driver's process started while that is allowed."""
    # Nobody ends the driver's process of a kernel without an end, as nobody outlives a real one.
    resource.setrlimit(resource.RLIMIT_CPU, (DRIVER_S, DRIVER_S))
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return RealTimeDevice()


def missing() -> RealTimeDevice:
    """A machine without a GPU."""
    raise GpuTrouble("there is none")
