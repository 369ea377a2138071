"""A GPU that is none: kernels run on the processor, and the clock is made up.

It fulfils `worker.runner.device.Device`, so that the harness is tested where there is no GPU. Its
times say nothing of any kernel: they follow from the bytes that a launch is given.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tests.support.cuda.fake_driver import ARENA_BYTES, Faulted, Kernels, Stuck, packed
from tests.support.cuda.on_host import OUTCOMES, built
from worker.runner import peaks
from worker.runner.compiling import CompiledKernel
from worker.runner.device import DeviceFault, Memory
from worker.runner.launch_limits import LaunchLimits, Shape3
from worker.wire_types import Json

BYTES_S, OPERATIONS_S = 0.5e9, 5e9
"""What it moves and computes a second, as its own peaks come out."""
OVERHEAD_S = 1e-6
UNKNOWN = 0x5A
"""What memory holds that was just allocated."""


@dataclass(frozen=True)
class Piece:
    """Bytes of the fake's memory."""

    first: int
    bytes: int


@dataclass
class Event:
    """A point in the queue."""

    at: float = float("nan")


@dataclass
class FakeDevice:
    """`slowness` is how much longer a kernel takes than its bytes need, by its entry's name;
    `clocks` what the next readings of the clock give, in MHz."""

    slowness: Callable[[str], float] = lambda _: 2.0
    clocks: Iterator[float | None] = field(default_factory=lambda: itertools.repeat(1000.0))
    name: str = "Fake GPU"
    uuid: str | None = "GPU-fake"
    architecture: str = "sm_90"
    driver: str | None = "1.0"
    driver_cuda: str = "12.9"
    memory_bytes: int = ARENA_BYTES
    level2_bytes: int = 16 * 1024
    multiprocessors: int = 1
    default_clock_mhz: float | None = 1000.0
    launched: list[str] = field(default_factory=list)
    hang_s: float = 60.0
    """Seconds of the processor after which a kernel counts as one that never ends."""
    closed: bool = False
    most_threads: Callable[[str], int] = lambda _: 1024
    """Threads of a block that fit, by the entry's name."""
    shared_bytes: int = 0
    """Of shared memory, what a kernel takes as it was compiled."""

    def __post_init__(self) -> None:
        self._kernels = Kernels()
        self._held: dict[int, int] = {}
        self._now_s = 0.0
        self._hung = False

    @property
    def held_bytes(self) -> int:
        """What was allocated and not freed."""
        return sum(self._held.values())

    def allocate(self, count: int) -> Memory:
        first = 4096
        for begin, size in sorted(self._held.items()):
            if first + count <= begin:
                break
            first = -(-(begin + size) // 256) * 256
        if first + count > ARENA_BYTES:
            raise MemoryError("There is no room for it on the fake GPU.")
        self._held[first] = count
        self._kernels.arena[first : first + count] = UNKNOWN
        return Piece(first, count)

    def allocate_host(self, count: int, dtype: DTypeLike) -> NDArray[Any]:
        return np.empty(count, dtype)

    def part(self, memory: Memory, first: int, count: int) -> Memory:
        piece = self._piece(memory)
        assert first >= 0
        assert first + count <= piece.bytes
        return Piece(piece.first + first, count)

    def free(self, memory: Memory) -> None:
        assert not self._hung, "a GPU that hangs would never free it"
        del self._held[self._piece(memory).first]

    def fill(self, memory: Memory, byte: int) -> None:
        self._bytes(memory)[:] = byte
        self._spend(memory.bytes)

    def copy_in(self, memory: Memory, array: NDArray[Any]) -> None:
        assert array.flags.c_contiguous
        assert array.nbytes == memory.bytes
        self._bytes(memory)[:] = array.reshape(-1).view(np.uint8)
        self._spend(10 * memory.bytes)

    def copy_out(self, array: NDArray[Any], memory: Memory) -> None:
        assert array.nbytes == memory.bytes
        array.reshape(-1).view(np.uint8)[:] = self._bytes(memory)
        self._spend(10 * memory.bytes)

    def copy_across(self, to: Memory, source: Memory) -> None:
        assert to.bytes == source.bytes
        self._bytes(to)[:] = self._bytes(source)
        self._spend(2 * to.bytes)

    def load(self, image: bytes) -> Any:
        return image.decode()

    def function(self, module: Any, entry: str) -> Any:
        return module, entry

    def limits(self, function: Any) -> LaunchLimits:
        return LaunchLimits(self.most_threads(function[1]), 49152, self.shared_bytes)

    def launch(self, function: Any, grid: Shape3, block: Shape3, arguments: Sequence[Any]) -> None:
        library, entry = function
        self.launched.append(entry)
        given = [one.first if isinstance(one, Piece) else packed(one) for one in arguments]
        call = {
            "library": library, "entry": entry, "grid": grid, "block": block, "arguments": given
        }  # fmt: skip
        try:
            outcome = self._kernels.launch(call, self.hang_s)
        except Faulted as error:
            raise DeviceFault("It met an illegal address.") from error
        except Stuck:
            self._hung = True
            return
        if outcome:
            raise DeviceFault(f"In a kernel, {OUTCOMES[outcome]}.")
        if entry == "peak_fma":
            operations = 2 * peaks.CHAINS * peaks.UNROLLED * int(arguments[1])
            self._now_s += operations * grid[0] * block[0] / OPERATIONS_S
            return
        moved = sum(one.bytes for one in arguments if isinstance(one, Piece))
        self._spend(moved, 1.0 if entry == "peak_copy" else self.slowness(entry))

    def event(self) -> Any:
        return Event()

    def record(self, event: Any) -> None:
        event.at = self._now_s

    def has_passed(self, event: Any) -> bool:
        return not self._hung

    def seconds_between(self, start: Any, end: Any) -> float:
        return float(end.at - start.at)

    def synchronize(self) -> None:
        assert not self._hung, "a GPU that hangs would never answer"

    def seconds(self) -> float:
        # Whoever waits for a kernel that never ends sees the time go by.
        self._now_s += 1.0 if self._hung else 1e-7
        return self._now_s

    def clock_mhz(self) -> float | None:
        return next(self.clocks)

    def reading(self) -> Json:
        return {
            "clock_mhz": 1000.0, "memory_clock_mhz": 500.0, "power_w": 10.0,
            "temperature_c": 40.0, "throttled": [],
        }  # fmt: skip

    def close(self) -> None:
        assert not self._hung, "a GPU that hangs would never close"
        self.end()

    def end(self) -> None:
        """End its process, as the end of the harness's own would."""
        if not self.closed:
            self.closed = True
            self._kernels.close()

    def _spend(self, count: int, factor: float = 1.0) -> None:
        self._now_s += OVERHEAD_S + factor * count / BYTES_S

    def _bytes(self, memory: Memory) -> NDArray[np.uint8]:
        piece = self._piece(memory)
        return self._kernels.arena[piece.first : piece.first + piece.bytes]

    def _piece(self, memory: Memory) -> Piece:
        assert isinstance(memory, Piece)
        return memory


def host_compiler(
    source: str, name: str, architecture: str, options: Sequence[str]
) -> CompiledKernel:
    """A compiler for the fake: its machine code is the name of a library for the host."""
    dtype = "float64" if "-DREAL=double" in options else "float32"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(source, encoding="utf-8")
        library = built(path, dtype)
    return CompiledKernel(
        str(library).encode(), "", {}, "c++", 0.0, False, architecture, tuple(options)
    )
