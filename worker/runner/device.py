"""What the harness asks of a GPU, whoever drives it.

The harness speaks to nothing else: pycuda in production (`pycuda_device`), and in tests a device
that runs kernels on the processor by a made-up clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray

from worker.runner.launch_limits import LaunchLimits, Shape3
from worker.runner.reasons import GpuTrouble
from worker.wire_types import Json


class DeviceFault(GpuTrouble):
    """The GPU reports a fault.

    The context may be lost with it: end the process.
    """


class Memory(Protocol):
    """A piece of the device's memory."""

    @property
    def bytes(self) -> int:
        """Its length."""
        ...


class Device(Protocol):
    """One GPU with a context of this process.

    What is queued runs in order, one thing after another. Every call may raise DeviceFault, also
    for what was queued before; MemoryError where there is no room.
    """

    name: str
    uuid: str | None
    """As NVML names it; None where nobody tells."""
    architecture: str
    """What kernels are compiled for, such as sm_90."""
    driver: str | None
    """The driver's version; None where nobody tells."""
    driver_cuda: str
    """The newest CUDA that the driver serves, such as 12.9."""
    memory_bytes: int
    level2_bytes: int
    """Of the cache that all multiprocessors share; 0 where nobody tells."""
    multiprocessors: int
    default_clock_mhz: float | None
    """What its multiprocessors run at when nothing holds them back; None where nobody tells."""

    def allocate(self, count: int) -> Memory:
        """`count` bytes whose content is not known; they begin at a multiple of 256."""
        ...

    def allocate_host(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """An array of `count` numbers in page-locked memory of the host."""
        ...

    def part(self, memory: Memory, first: int, count: int) -> Memory:
        """`count` bytes of it from byte `first` on; never to be freed by itself."""
        ...

    def free(self, memory: Memory) -> None:
        """Give it back."""
        ...

    def fill(self, memory: Memory, byte: int) -> None:
        """Queue: every byte of it becomes `byte`."""
        ...

    def copy_in(self, memory: Memory, array: NDArray[Any]) -> None:
        """Queue: a C-contiguous array of as many bytes goes to the device.

        With page-locked memory it returns at once, and the array may not change before
        `synchronize`; with any other it may return when all of it has been read.
        """
        ...

    def copy_out(self, array: NDArray[Any], memory: Memory) -> None:
        """Queue: the same the other way. What is in `array` counts after `synchronize`."""
        ...

    def copy_across(self, to: Memory, source: Memory) -> None:
        """Queue: a copy within the device, both of one length."""
        ...

    def load(self, image: bytes) -> Any:
        """A module of machine code, for `function`."""
        ...

    def function(self, module: Any, entry: str) -> Any:
        """One of its kernels, for `launch`."""
        ...

    def limits(self, function: Any) -> LaunchLimits:
        """What a launch of it may ask for, as it was compiled."""
        ...

    def launch(self, function: Any, grid: Shape3, block: Shape3, arguments: Sequence[Any]) -> None:
        """Queue one launch. Arguments are Memory and NumPy scalars."""
        ...

    def event(self) -> Any:
        """Something that `record` can put into the queue."""
        ...

    def record(self, event: Any) -> None:
        """Queue: note the time at which everything before has ended."""
        ...

    def has_passed(self, event: Any) -> bool:
        """Whether everything before it has ended. Returns at once."""
        ...

    def seconds_between(self, start: Any, end: Any) -> float:
        """Between two events that have been passed, by the device's own clock."""
        ...

    def synchronize(self) -> None:
        """Return when everything on the whole device has ended, whatever queue it is in."""
        ...

    def seconds(self) -> float:
        """This host's clock, which only ever goes on."""
        ...

    def clock_mhz(self) -> float | None:
        """What its multiprocessors run at just now; None where nobody tells."""
        ...

    def reading(self) -> Json:
        """Clocks, power, temperature and what holds it back, just now: `Sensors.reading`."""
        ...

    def close(self) -> None:
        """End the context and all memory with it."""
        ...
