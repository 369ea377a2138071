"""The process in which a user's kernel runs: it holds the GPU, and knows no seed and no answer.

Until the user's machine code is loaded it is as good as the referee: so peaks and the cost of a
question are measured before. Then a fence closes about it, and what it says is only told.
"""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Launch, Launches
from worker.runner import lifeline, own_fence, own_wire
from worker.runner.device import Device
from worker.runner.launch_limits import TooManyThreads, TooMuchShared
from worker.runner.peaks import gpu_peaks
from worker.runner.reasons import GpuTrouble, NotPrepared, WrongResult
from worker.runner.running import RUN_LIMIT_S, Hung, Job, Loaded, Stopwatch
from worker.wire_types import Json

FILE_BYTES: Final = 16 * 1024**2
OPEN_FILES: Final = 512
BUSY_S: Final = 0.02
UNKNOWN_FLUSH_BYTES: Final = 64 * 1024**2
PATIENCE_S: Final = 24 * 3600.0
"""The referee ends this process when it is done with it."""


def main(descriptor: int, parent_pid: int, scratch: str, make: Callable[[], Device]) -> None:
    """Answer the referee at the other end of `descriptor` until it hangs up."""
    lifeline.hold_to(parent_pid)
    _limit_oneself()
    with socket.socket(fileno=descriptor) as stream:
        try:
            device = make()
        except (GpuTrouble, NotPrepared) as error:
            # Asked first: to end with something unread takes back what was said.
            own_wire.receive(stream, PATIENCE_S)
            kind = "unprepared" if isinstance(error, NotPrepared) else "trouble"
            own_wire.send(stream, {kind: error.detail})
            return
        serve(stream, Bench(device, Path(scratch)))


def serve(stream: socket.socket, bench: Bench) -> None:
    """One answer for each question, whatever goes wrong with it."""
    while True:
        try:
            head = own_wire.receive(stream, PATIENCE_S)
            act = getattr(bench, f"do_{head['do']}")
            answer, parts = act(head, stream)
        except own_wire.Broken:
            return
        except Hung as error:
            answer, parts = {"hung": error.detail}, []
        except TooManyThreads as error:
            answer, parts = {"threads": error.detail}, []
        except TooMuchShared as error:
            answer, parts = {"shared": error.detail}, []
        except WrongResult as error:
            answer, parts = {"wrong": error.detail}, []
        except (GpuTrouble, MemoryError) as error:
            answer, parts = {"fault": str(error)}, []
        own_wire.send(stream, answer, parts)


Answer = tuple[Json, list[memoryview]]


class Bench:
    """A device, the arrays of one run on it, and the questions about them, each a `do_`."""

    def __init__(self, device: Device, scratch: Path) -> None:
        self.device, self._scratch = device, scratch
        self._watch = Stopwatch(device, RUN_LIMIT_S)
        self._flush = device.allocate(2 * device.level2_bytes or UNKNOWN_FLUSH_BYTES)
        self._module: Any = None
        self._loaded: Loaded | None = None

    def do_hello(self, head: Json, stream: socket.socket) -> Answer:
        """What the device is."""
        del head, stream
        device = self.device
        return {
            "name": device.name,
            "uuid": device.uuid,
            "architecture": device.architecture,
            "driver": device.driver,
            "cuda": device.driver_cuda,
            "memory_bytes": device.memory_bytes,
            "level2_bytes": device.level2_bytes,
            "reading": device.reading(),
        }, []

    def do_peaks(self, head: Any, stream: socket.socket) -> Answer:
        """Peaks, by machine code that the referee sends; not beside a user's."""
        image = own_wire.receive_bytes(stream, head["bytes"], PATIENCE_S)
        if self._module is not None:
            raise WrongResult("peaks are measured before a kernel is loaded.")
        found = gpu_peaks(self.device, self.device.load(image), head["itemsize"])
        return {"bytes_s": found.bytes_s, "operations_s": found.operations_s}, []

    def do_load(self, head: Any, stream: socket.socket) -> Answer:
        """Close the fence, then load the user's machine code."""
        image = own_wire.receive_bytes(stream, head["bytes"], PATIENCE_S)
        # A driver's own shared memory counts as a file, so not before there is one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        if not own_fence.close(self._scratch):
            return {"unfenced": True}, []
        self._module = self.device.load(image)
        return {"loaded": True}, []

    def do_place(self, head: Any, stream: socket.socket) -> Answer:
        """Other arrays in place of those before: new addresses, the output poisoned."""
        inputs: dict[str, NDArray[Any]] = {
            name: own_wire.receive_array(stream, tuple(shape), np.dtype(dtype), PATIENCE_S)
            for name, dtype, shape in head["arrays"]
        }
        if self._loaded is not None:
            self._loaded.free()
            self._loaded = None
        steps = tuple(
            Launch(entry, tuple(grid), tuple(block), tuple(arguments))
            for entry, grid, block, arguments in head["steps"]
        )
        launches = Launches(steps, head["temporaries"])
        job = Job(head["sizes"], tuple(head["shape"]), np.dtype(head["dtype"]), launches)
        self._loaded = Loaded(self.device, self._module, job, inputs)
        self._keep_busy()
        return {"placed": True}, []

    def do_run(self, head: Json, stream: socket.socket) -> Answer:
        """One run, caches cold; the seconds between two events."""
        del head, stream
        return {"seconds": self._timed(self._in_place().queue)}, []

    def do_fetch(self, head: Json, stream: socket.socket) -> Answer:
        """What the run left in the output, and nothing beside it."""
        del head, stream
        loaded = self._in_place()
        loaded.require_guarded("a run")
        return {"fetched": True}, [own_wire.bytes_of(loaded.output())]

    def _timed(self, queue: Callable[[], None]) -> float:
        self.device.synchronize()
        # It also keeps the GPU busy while what follows is queued, so that no gap is timed.
        self.device.fill(self._flush, 0)
        self._watch.start()
        queue()
        return max(self._watch.stop(), 1e-9)

    def _keep_busy(self) -> None:
        # While the referee worked out its answer, the GPU rested and may have lowered its clock.
        until = self.device.seconds() + BUSY_S
        while self.device.seconds() < until:
            self.device.fill(self._flush, 0)
            self.device.synchronize()

    def _in_place(self) -> Loaded:
        if self._loaded is None:
            raise WrongResult("nothing was placed.")
        return self._loaded


def _limit_oneself() -> None:
    os.umask(0o077)
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))
