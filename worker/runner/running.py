"""One run of a kernel at one size: its arrays, its launches, and the wait for their end."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from labpool.sdk import Arrays, Copy, Launch, Launches, Sizes
from worker.runner.device import Device, DeviceFault
from worker.runner.launch_limits import require_allowed
from worker.runner.placing import POISON, Placed, spare_for

RUN_LIMIT_S = 60.0
PATIENT_AFTER_S = 0.005
NAP_S = 0.001


class Hung(DeviceFault):
    """The kernel does not end.

    The context can neither be used nor closed any more.
    """


@dataclass(frozen=True)
class Job:
    """What is run: a kernel's launches at one size, and what its output looks like."""

    sizes: Sizes
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    launches: Launches

    @property
    def host(self) -> Mapping[str, bool]:
        """The arrays that lie in the host's memory, and whether that is page-locked."""
        return {
            (step.source if step.host == "source" else step.target): step.pinned
            for step in self.launches.steps
            if isinstance(step, Copy) and step.host is not None
        }


class Loaded:
    """The arrays of a job in the device's memory (or the host's, where its copies begin or end
    there), and its kernels. Raises TooLarge for a launch that the device does not allow."""

    def __init__(
        self, device: Device, module: Any, job: Job, inputs: Arrays, with_windows: bool = False
    ) -> None:
        self._device, self._job = device, job
        self._placed: dict[str, Placed] = {}
        self._host: dict[str, NDArray[Any]] = {}
        self._values: dict[str, Any] = {n: np.int32(size) for n, size in job.sizes.items()}
        self.windows: dict[str, int] = {}
        """How many windows each input has."""
        self._functions: dict[str, Any] = {}
        for step in job.launches.steps:
            if isinstance(step, Launch):
                function = self._functions[step.entry] = device.function(module, step.entry)
                # A launch that cannot be would look like a fault of the GPU.
                require_allowed(step, device.limits(function))
        try:
            for name, array in inputs.items():
                if array.ndim:
                    self._make(name, array.size, array.dtype, with_windows * spare_for(array))
            for name, count in job.launches.temporaries.items():
                self._make(name, count, job.dtype)
            self._make("output", math.prod(job.shape), job.dtype)
            self.put(inputs)
        except BaseException:
            self.free()
            raise

    def put(self, inputs: Arrays) -> None:
        """Replace the inputs."""
        self.transfer(inputs)
        for name, array in inputs.items():
            if array.ndim == 0:
                self._values[name] = array[()]
            elif name in self._placed:
                self._placed[name].go_on()
            else:
                self._host[name][:] = array.reshape(-1)
        self._device.synchronize()

    def transfer(self, inputs: Arrays) -> int:
        """Queue: those inputs that lie on the device go there. Returns their bytes."""
        moved = {
            name: array for name, array in inputs.items() if array.ndim and name in self._placed
        }
        for name, array in moved.items():
            self._placed[name].put(array)
        return sum(array.nbytes for array in moved.values())

    def poison(self) -> None:
        """Queue: the output holds no number."""
        if "output" in self._placed:
            self._placed["output"].poison()
        else:
            self._device.synchronize()
            self._host["output"].view(np.uint8)[:] = POISON

    def queue(self, windows: Mapping[str, int] | None = None) -> None:
        """Queue one run on these windows of the inputs, by default the first ones."""
        chosen = windows or {}
        known = {
            **self._values,
            **{name: placed.window(chosen.get(name, 0)) for name, placed in self._placed.items()},
        }
        for step in self._job.launches.steps:
            if isinstance(step, Copy):
                self._copy(step, known)
                continue
            arguments = [
                known[part] if isinstance(part, str) else np.int32(part) for part in step.arguments
            ]
            self._device.launch(self._functions[step.entry], step.grid, step.block, arguments)

    def output(self) -> NDArray[Any]:
        """What the last run wrote."""
        if "output" in self._placed:
            return self._placed["output"].fetch().reshape(self._job.shape)
        self._device.synchronize()
        return self._host["output"].reshape(self._job.shape).copy()

    @property
    def output_bytes(self) -> int:
        """What comes back from the device; nothing where the output is in the host's memory."""
        return self._placed["output"].bytes if "output" in self._placed else 0

    def require_guarded(self, case: str) -> None:
        """Raises WrongResult when a kernel wrote beside its arrays."""
        for name, placed in self._placed.items():
            placed.require_guarded(name, case)

    def free(self) -> None:
        """Give the memory back."""
        for placed in self._placed.values():
            placed.free()
        self._placed, self._host = {}, {}

    def _make(self, name: str, count: int, dtype: DTypeLike, spare: int = 0) -> None:
        pinned = self._job.host.get(name)
        if pinned is None:
            self._placed[name] = Placed(self._device, count, dtype, spare)
            self.windows[name] = self._placed[name].windows
        elif pinned:
            self._host[name] = self._device.allocate_host(count, dtype)
        else:
            self._host[name] = np.empty(count, dtype)

    def _copy(self, step: Copy, known: Mapping[str, Any]) -> None:
        if step.host == "source":
            self._device.copy_in(known[step.target], self._host[step.source])
        elif step.host == "target":
            self._device.copy_out(self._host[step.target], known[step.source])
        else:
            self._device.copy_across(known[step.target], known[step.source])


class Stopwatch:
    """Times what is queued between two events on the device. Raises Hung past `limit_s`."""

    def __init__(self, device: Device, limit_s: float = RUN_LIMIT_S) -> None:
        self._device, self._limit_s = device, limit_s
        self._start, self._end = device.event(), device.event()
        self.hung = False

    def start(self) -> None:
        """Queue the first event."""
        self._device.record(self._start)

    def stop(self) -> float:
        """Queue the second, wait until all of the device is idle, and return the seconds."""
        self.wait()
        return self._device.seconds_between(self._start, self._end)

    def wait(self) -> None:
        """Wait until all of the device is idle."""
        device, event = self._device, self._end
        device.record(event)
        began = device.seconds()
        while not device.has_passed(event):
            waited = device.seconds() - began
            if waited > self._limit_s:
                self.hung = True
                raise Hung(
                    f"It was given up after {self._limit_s:g} s; look for a loop or a barrier that "
                    "some threads never leave."
                )
            if waited > PATIENT_AFTER_S:
                time.sleep(NAP_S)
        # Not only the event: whatever queue something runs in, it must not outlast its sample.
        device.synchronize()


def best_of(times: Sequence[float]) -> float:
    """The shortest; 0 is what a clock says that is too coarse, and counts as its least step."""
    return max(min(times), 1e-9)
