"""A CUDA device, through pycuda, running a kernel that NVRTC compiled for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, DTypeName, Launches, Sizes
from worker.runner.compiling import cache_folder, compile_apart
from worker.runner.reasons import GpuTrouble
from worker.wire_types import Json

C_TYPES: Mapping[str, str] = {"float32": "float", "float64": "double"}
POISON = 0xFF
"""Bytes of all ones are a NaN in both types: an element that is not written shows."""
BATCH_RUNS = 20
LEAST_FLUSH_BYTES = 64 * 1024**2


class CudaTarget:
    """One kernel on the first visible GPU; its context ends with `close`.

    Samples are cold: before each, twice the level-2 cache is overwritten. The flush also keeps the
    GPU busy while the launch is queued, so that the time between the two events holds no gap.
    """

    device = "gpu"

    def __init__(
        self,
        kernel: Any,
        source: Path,
        dtype: DTypeName,
        launch: Mapping[str, int],
        variant: str,
    ) -> None:
        """Compile and load. Raises GpuTrouble naming what is missing, CompileError."""
        self._cuda = driver()
        self._kernel, self._dtype = kernel, np.dtype(dtype)
        self._launch, self._variant = launch, variant
        if self._cuda.Device.count() == 0:
            raise GpuTrouble("The driver shows no GPU to this slot.")
        device = self._cuda.Device(0)
        self.device_name = device.name()
        major, minor = device.compute_capability()
        self._architecture = f"sm_{major}{minor}"
        self._compiled = compile_apart(
            source.read_text(encoding="utf-8"),
            source.name,
            self._architecture,
            compile_options(dtype),
            cache_folder(),
            ours=True,
        )
        self._context = device.make_context()
        try:
            self._module = self._cuda.module_from_buffer(self._compiled.cubin)
            cache_bytes = device.get_attribute(self._cuda.device_attribute.L2_CACHE_SIZE)
            self._flush_bytes = max(LEAST_FLUSH_BYTES, 2 * cache_bytes)
            self._flush = self._cuda.mem_alloc(self._flush_bytes)
            self._events = (self._cuda.Event(), self._cuda.Event())
            self._loaded: _Loaded | None = None
        except BaseException:
            self.close()
            raise

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """One run on poisoned memory, copied back."""
        loaded = self._place(sizes, inputs)
        try:
            loaded.run()
            self._context.synchronize()
            return loaded.output()
        finally:
            loaded.free()

    def load(self, sizes: Sizes, inputs: Arrays) -> None:
        """Copy the inputs over, in place of those before."""
        if self._loaded is not None:
            self._loaded.free()
        self._loaded = self._place(sizes, inputs)

    def sample(self) -> float:
        """Seconds of one run between two events on the device, caches cold."""
        # All streams: work that a kernel left running elsewhere counts before, not within.
        self._context.synchronize()
        self._cuda.memset_d8_async(self._flush, 0, self._flush_bytes)
        return self._timed(1)

    def output(self) -> NDArray[Any]:
        """What the last run wrote."""
        return self._of_sample().output()

    def describe(self) -> Json:
        """How samples were taken, and the time of runs back to back as a second opinion."""
        self._context.synchronize()
        back_to_back_ms = 1e3 * self._timed(BATCH_RUNS) / BATCH_RUNS
        return {
            "compile": self._compiled.describe(),
            "driver_cuda": self._cuda.get_driver_version(),
            "caches": "cold",
            "flushed_bytes": self._flush_bytes,
            "clock": "CUDA events",
            "runs_per_sample": 1,
            "back_to_back_ms": back_to_back_ms,
        }

    def close(self) -> None:
        """End the context and all memory with it."""
        self._context.pop()
        self._context.detach()

    def _timed(self, runs: int) -> float:
        loaded = self._of_sample()
        start, end = self._events
        start.record()
        for _ in range(runs):
            loaded.run()
        end.record()
        # Device-wide, not only the event: a side stream must not outlast its sample.
        self._context.synchronize()
        return float(start.time_till(end)) / 1e3

    def _place(self, sizes: Sizes, inputs: Arrays) -> _Loaded:
        return _Loaded(
            self._cuda,
            self._module,
            sizes,
            inputs,
            self._kernel.output_shape(sizes),
            self._dtype,
            self._kernel.launches(sizes, self._launch, self._variant),
        )

    def _of_sample(self) -> _Loaded:
        if self._loaded is None:
            raise RuntimeError("load comes before sample")
        return self._loaded


class _Loaded:
    """Inputs and output of one size in the device's memory."""

    def __init__(
        self,
        cuda: Any,
        module: Any,
        sizes: Sizes,
        inputs: Arrays,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        launches: Launches,
    ) -> None:
        self._cuda, self._shape, self._dtype = cuda, shape, dtype
        self._memory: dict[str, Any] = {}
        values = {name: array[()] for name, array in inputs.items() if array.ndim == 0}
        try:
            for name, array in inputs.items():
                if name not in values:
                    self._memory[name] = cuda.to_device(np.ascontiguousarray(array))
            for name, count in {**launches.temporaries, "output": math.prod(shape)}.items():
                self._memory[name] = cuda.mem_alloc(count * dtype.itemsize)
                cuda.memset_d8(self._memory[name], POISON, count * dtype.itemsize)
        except BaseException:
            self.free()
            raise
        known = {**{name: np.int32(size) for name, size in sizes.items()}, **self._memory, **values}
        self._steps = [
            (
                module.get_function(step.entry),
                [_value(known, part) for part in step.arguments],
                step,
            )
            for step in launches.steps
        ]

    def run(self) -> None:
        """Queue one run."""
        for function, arguments, step in self._steps:
            function(*arguments, grid=step.grid, block=step.block)

    def output(self) -> NDArray[Any]:
        """The output, copied back; waits for what is queued."""
        return np.asarray(self._cuda.from_device(self._memory["output"], self._shape, self._dtype))

    def free(self) -> None:
        """Give the memory back."""
        for memory in self._memory.values():
            memory.free()
        self._memory = {}


def _value(known: Mapping[str, Any], argument: str | int) -> Any:
    return known[argument] if isinstance(argument, str) else np.int32(argument)


def compile_options(dtype: str) -> list[str]:
    """What kernels are compiled with: REAL is the element type."""
    return [f"-DREAL={C_TYPES[dtype]}"]


def driver() -> Any:
    """pycuda's driver module, initialised. Raises GpuTrouble naming what is missing."""
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        missing = "pycuda" if (error.name or "").startswith("pycuda") else "the NVIDIA driver"
        raise GpuTrouble(
            f"{missing} cannot be loaded ({error}); a GPU benchmark needs a driver and pycuda: "
            "pip install 'labpool[gpu]'."
        ) from error
    try:
        cuda.init()
    except cuda.Error as error:
        raise GpuTrouble(f"the NVIDIA driver does not start: {error}.") from error
    return cuda
