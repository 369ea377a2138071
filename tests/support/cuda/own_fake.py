"""A process for a user's kernel as the referee starts it, with a fake GPU in real time.

`with_cheat` gives the code that starts one whose harness was taken over, as by a hole in a driver.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.cuda.fake_device import Event, FakeDevice
from worker.runner.launch_limits import Shape3
from worker.runner.reasons import GpuTrouble, NotPrepared

TIMED, LAUNCH_S = 1000, 0.1
"""What a launch at the size that is timed takes at least: far more than a busy host delays."""
HANG_S = 5.0
"""Seconds of the processor after which a kernel never ends."""
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
        super().launch(function, grid, block, arguments)
        while time.perf_counter() < until:
            time.sleep(0.0001)

    def seconds(self) -> float:
        return super().seconds() if self._hung else time.perf_counter()


def make() -> RealTimeDevice:
    """The device; the process of its driver finds the checkout by this."""
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
    return RealTimeDevice(hang_s=HANG_S)


def few_threads() -> RealTimeDevice:
    """A GPU whose registers are few."""
    device = make()
    device.most_threads = lambda entry: 32
    return device


def little_shared() -> RealTimeDevice:
    """A GPU whose shared memory is little beside what kernels take."""
    device = make()
    device.shared_bytes = 64 * 1024
    return device


def missing() -> RealTimeDevice:
    """A machine without a GPU."""
    raise GpuTrouble("there is none")


def unprepared() -> RealTimeDevice:
    """A machine with a GPU, and without what drives it."""
    raise NotPrepared("pycuda is not installed here: make gpu.")
