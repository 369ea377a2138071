"""A CUDA device through pycuda. No other module of labpool touches pycuda."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from worker.runner.device import DeviceFault, Memory
from worker.runner.gpu_sensors import Sensors
from worker.runner.launch_limits import LaunchLimits, Shape3
from worker.runner.reasons import GpuTrouble, NotPrepared
from worker.wire_types import Json


@dataclass(frozen=True)
class Stretch:
    """Bytes at an address of the device; `owner` is what pycuda frees, None for a part."""

    address: int
    bytes: int
    owner: Any = None


class PycudaDevice:
    """The first GPU that this process is shown, with a context; `close` ends it.

    Raises NotPrepared naming what is missing, GpuTrouble.
    """

    def __init__(self) -> None:
        self._cuda = driver()
        if self._cuda.Device.count() == 0:
            raise GpuTrouble("The driver shows no GPU to this slot.")
        with self._faults():
            device = self._cuda.Device(0)
            self.name: str = device.name()
            major, minor = device.compute_capability()
            self.architecture = f"sm_{major}{minor}"
            self.driver_cuda = _cuda_version(self._cuda.get_driver_version())
            self.memory_bytes = int(device.total_memory())
            self.level2_bytes = self._attribute(device, "L2_CACHE_SIZE")
            self.multiprocessors = self._attribute(device, "MULTIPROCESSOR_COUNT")
            clock_khz = self._attribute(device, "CLOCK_RATE")
            self.default_clock_mhz = clock_khz / 1000 if clock_khz else None
            self._shared_bytes = self._attribute(device, "MAX_SHARED_MEMORY_PER_BLOCK")
            self._context = device.make_context()
        self._sensors = Sensors(device.pci_bus_id())
        self.uuid = self._sensors.uuid
        self.driver = self._sensors.driver

    def allocate(self, count: int) -> Memory:
        """`count` bytes."""
        with self._faults():
            owner = self._cuda.mem_alloc(count)
        return Stretch(int(owner), count, owner)

    def allocate_host(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        """An array in page-locked memory, which goes when the array does."""
        with self._faults():
            array: NDArray[Any] = self._cuda.pagelocked_empty(count, dtype)
        return array

    def part(self, memory: Memory, first: int, count: int) -> Memory:
        """Bytes within `memory`."""
        if first < 0 or first + count > memory.bytes:
            raise ValueError(f"bytes {first} to {first + count} of {memory.bytes}")
        return Stretch(_address(memory) + first, count)

    def free(self, memory: Memory) -> None:
        """Give it back."""
        if isinstance(memory, Stretch) and memory.owner is not None:
            with self._faults():
                memory.owner.free()

    def fill(self, memory: Memory, byte: int) -> None:
        """Queue a memset."""
        with self._faults():
            self._cuda.memset_d8_async(_address(memory), byte, memory.bytes)

    def copy_in(self, memory: Memory, array: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        with self._faults():
            self._cuda.memcpy_htod_async(_address(memory), array)

    def copy_out(self, array: NDArray[Any], memory: Memory) -> None:
        """Queue a copy to the host."""
        with self._faults():
            self._cuda.memcpy_dtoh_async(array, _address(memory))

    def copy_across(self, to: Memory, source: Memory) -> None:
        """Queue a copy within the device."""
        with self._faults():
            self._cuda.memcpy_dtod_async(_address(to), _address(source), source.bytes)

    def load(self, image: bytes) -> Any:
        """Load machine code."""
        with self._faults():
            return self._cuda.module_from_buffer(image)

    def function(self, module: Any, entry: str) -> Any:
        """One of its kernels."""
        with self._faults():
            return module.get_function(entry)

    def limits(self, function: Any) -> LaunchLimits:
        """The function's own attributes, and the device's."""
        of_function = self._cuda.function_attribute
        with self._faults():
            threads = function.get_attribute(of_function.MAX_THREADS_PER_BLOCK)
            shared = function.get_attribute(of_function.SHARED_SIZE_BYTES)
        return LaunchLimits(int(threads), self._shared_bytes, int(shared))

    def launch(self, function: Any, grid: Shape3, block: Shape3, arguments: Sequence[Any]) -> None:
        """Queue a launch."""
        given = [
            np.uintp(argument.address) if isinstance(argument, Stretch) else argument
            for argument in arguments
        ]
        with self._faults():
            function(*given, grid=grid, block=block)

    def event(self) -> Any:
        """An event with a time."""
        with self._faults():
            return self._cuda.Event()

    def record(self, event: Any) -> None:
        """Queue it."""
        with self._faults():
            event.record()

    def has_passed(self, event: Any) -> bool:
        """Ask the driver."""
        with self._faults():
            return bool(event.query())

    def seconds_between(self, start: Any, end: Any) -> float:
        """By the device's clock, to about half a microsecond."""
        with self._faults():
            return float(start.time_till(end)) / 1e3

    def synchronize(self) -> None:
        """Wait for the whole context."""
        with self._faults():
            self._context.synchronize()

    def seconds(self) -> float:
        """The host's clock."""
        return time.perf_counter()

    def clock_mhz(self) -> float | None:
        """From NVML."""
        return self._sensors.clock_mhz()

    def reading(self) -> Json:
        """From NVML."""
        return self._sensors.reading()

    def close(self) -> None:
        """End the context."""
        self._sensors.close()
        with self._faults():
            self._context.pop()
            self._context.detach()

    def _attribute(self, device: Any, name: str) -> int:
        """0 where this driver or this pycuda does not know it."""
        try:
            return int(device.get_attribute(getattr(self._cuda.device_attribute, name)))
        except (AttributeError, self._cuda.LogicError):
            return 0

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except self._cuda.MemoryError as error:
            raise MemoryError(f"There is no room for it on the GPU: {error}.") from error
        except self._cuda.Error as error:
            raise DeviceFault(f"{error}.") from error


def _address(memory: Memory) -> int:
    if not isinstance(memory, Stretch):
        raise TypeError(f"{type(memory).__name__} is no memory of this device")
    return memory.address


def _cuda_version(number: int) -> str:
    """'12.9' of 12090."""
    return f"{number // 1000}.{number % 1000 // 10}"


def driver() -> Any:
    """pycuda's driver module, initialised. Raises NotPrepared naming what is missing,
    GpuTrouble where the driver does not start."""
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        raise NotPrepared(_what_is_missing(error)) from error
    try:
        cuda.init()
    except cuda.Error as error:
        raise GpuTrouble(f"the NVIDIA driver does not start: {error}.") from error
    return cuda


def _what_is_missing(error: ImportError) -> str:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("pycuda"):
        return "pycuda is not installed here: make gpu."
    if "libcuda.so" in str(error):
        return (
            f"the NVIDIA driver's library cannot be loaded ({error}): sudo apt install "
            "nvidia-driver, or in a container start it with --gpus all."
        )
    return f"pycuda cannot be loaded ({error}): make gpu builds it anew."
