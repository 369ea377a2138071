"""A kernel's CUDA source on a GPU: compiled, run between guard zones, timed with cold caches."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, DTypeName, Sizes
from worker.runner import peaks
from worker.runner.compiling import CompiledKernel, cache_folder, compile_apart
from worker.runner.device import Device
from worker.runner.judging import named
from worker.runner.launch_limits import TooLarge, unsuitable
from worker.runner.physics import Peaks
from worker.runner.placing import rolled, shuffled
from worker.runner.running import RUN_LIMIT_S, Job, Loaded, Stopwatch
from worker.runner.targets import Fresh, Run
from worker.wire_types import Json

C_TYPES: Mapping[str, str] = {"float32": "float", "float64": "double"}
UNKNOWN_FLUSH_BYTES = 64 * 1024**2
"""What is overwritten where nobody tells how large the cache is."""
FRESH_BYTES = 1024**2
"""Up to here a sample's inputs are drawn anew; larger ones are windows of one longer array."""
LEAST_CLOCK = 0.75
"""Share of the default clock below which a sample does not count."""
TRANSFERS = 3

Compiler = Callable[[str, str, str, Sequence[str]], CompiledKernel]
"""Of source, name, architecture and options."""


def of_the_catalog(
    source: str, name: str, architecture: str, options: Sequence[str]
) -> CompiledKernel:
    """Compile what nobody but the catalog can have written, or find it compiled."""
    return compile_apart(source, name, architecture, options, cache_folder(), ours=True)


@dataclass(frozen=True)
class _Chosen:
    """What one run was given: inputs, and which windows of them."""

    inputs: Arrays
    windows: Mapping[str, int]

    def arrays(self) -> Arrays:
        if not any(self.windows.values()):
            return self.inputs
        return {
            name: rolled(array, self.windows[name]) if self.windows.get(name) else array
            for name, array in self.inputs.items()
        }


class CudaTarget:
    """One kernel on one GPU, whose context ends with `close`.

    Samples are cold: before each, twice the level-2 cache is overwritten. The flush also keeps the
    GPU busy while the launch is queued, so that the time between the two events holds no gap.
    """

    device: Literal["cpu", "gpu"] = "gpu"
    caches: Literal["cold", "warm"] = "cold"

    def __init__(
        self,
        kernel: Any,
        source: Path,
        dtype: DTypeName,
        launch: Mapping[str, int],
        variant: str,
        device: Device,
        compiler: Compiler = of_the_catalog,
        limit_s: float = RUN_LIMIT_S,
    ) -> None:
        """Compile and load; `limit_s` is what one run may take. Raises CompileError, GpuTrouble."""
        self._kernel, self._dtype = kernel, np.dtype(dtype)
        self._launch, self._variant, self._device = launch, variant, device
        self.device_name, self.absorbs = device.name, device.level2_bytes
        self._compiler, self._options = compiler, compile_options(dtype)
        self._compiled = compiler(
            source.read_text(encoding="utf-8"), source.name, device.architecture, self._options
        )
        self._module = device.load(self._compiled.cubin)
        self._peaks_module: Any = None
        self._watch = Stopwatch(device, limit_s)
        self._flush = device.allocate(2 * device.level2_bytes or UNKNOWN_FLUSH_BYTES)
        self._random = np.random.default_rng(secrets.randbits(128))
        self._resident: _Resident | None = None
        self._clock_mhz: float | None = None

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """One run on poisoned memory, copied back. Raises Unsuitable for too large a launch."""
        loaded = self._placed(sizes, inputs)
        try:
            loaded.queue()
            self._watch.wait()
            loaded.require_guarded(named(sizes))
            return loaded.output()
        finally:
            self._unless_hung(loaded.free)

    def load(self, sizes: Sizes, inputs: Arrays, fresh: Fresh) -> None:
        """Copy the inputs over, in place of those before."""
        if self._resident is not None:
            self._resident.loaded.free()
        size = sum(array.nbytes for array in inputs.values())
        renew = fresh if size <= FRESH_BYTES else None
        loaded = self._placed(sizes, inputs, renew is None)
        self._resident = _Resident(loaded, inputs, renew, self._random)
        self._before = self._device.reading()

    def sample(self) -> float:
        """Seconds of one run between two events on the device, caches cold, inputs new."""
        resident = self._in_use()
        chosen = resident.choose()
        resident.loaded.poison()
        self._device.synchronize()
        self._device.fill(self._flush, 0)
        self._watch.start()
        resident.loaded.queue(chosen.windows)
        seconds = self._watch.stop()
        self._clock_mhz = self._device.clock_mhz()
        resident.perhaps_keep(chosen)
        return seconds

    def batch(self, runs: int) -> float:
        """Seconds of one of so many runs back to back, each on other windows."""
        resident = self._in_use()
        chosen = [resident.choose()]
        # What is drawn anew would have to be copied over in between.
        chosen += [resident.choose(new=False) for _ in range(runs - 1)]
        resident.loaded.poison()
        self._device.synchronize()
        self._watch.start()
        for one in chosen:
            resident.loaded.queue(one.windows)
        seconds = self._watch.stop() / runs
        self._clock_mhz = self._device.clock_mhz()
        resident.last = chosen[-1]
        return seconds

    def held_back(self) -> str | None:
        """A clock below three quarters of what the GPU runs at by default."""
        usual, found = self._device.default_clock_mhz, self._clock_mhz
        if usual is None or found is None or found >= LEAST_CLOCK * usual:
            return None
        return f"the GPU's clock was at {found:g} MHz, below 75 % of its {usual:g} MHz"

    def timed_runs(self) -> Iterable[Run]:
        """One that was drawn by lot, and the last."""
        resident = self._in_use()
        resident.loaded.require_guarded("while timed")
        last = (resident.last, resident.loaded.output())
        for chosen, output in filter(None, (resident.kept, last)):
            yield Run(chosen.arrays(), output)

    def peaks(self, dtype: str, footprint: int) -> Peaks:
        """A copy far larger than the cache, and multiply-adds."""
        del footprint
        if self._peaks_module is None:
            compiled = self._compiler(
                peaks.SOURCE, peaks.NAME, self._device.architecture, compile_options(dtype)
            )
            self._peaks_module = self._device.load(compiled.cubin)
        return peaks.gpu_peaks(self._device, self._peaks_module, np.dtype(dtype).itemsize)

    def describe(self) -> Json:
        """Samples, compiler, transfers and the GPU before and after."""
        device = self._device
        after = device.reading()
        return {
            "caches": self.caches,
            "flushed_bytes": self._flush.bytes,
            "clock": "CUDA events",
            "runs_per_sample": 1,
            "compile": self._compiled.describe(),
            "transfer": self._transfers(),
            "gpu": {
                "name": device.name,
                "uuid": device.uuid,
                "driver": device.driver,
                "cuda": device.driver_cuda,
                "memory_bytes": device.memory_bytes,
                "before": self._before,
                "after": after,
            },
        }

    def close(self) -> None:
        """End the context and all memory with it; of a GPU that hangs, this would never end."""
        self._unless_hung(self._device.close)

    def _transfers(self) -> Json:
        """The inputs there and the output back, by way of ordinary memory of the host."""
        resident, device = self._in_use(), self._device
        there, back, moved = [], [], 0
        for _ in range(TRANSFERS):
            began = device.seconds()
            moved = resident.loaded.transfer(resident.inputs)
            device.synchronize()
            arrived = device.seconds()
            resident.loaded.output()
            there.append(arrived - began)
            back.append(device.seconds() - arrived)
        returned = resident.loaded.output_bytes
        return {
            "to_device_ms": 1e3 * median(there) if moved else 0.0,
            "from_device_ms": 1e3 * median(back) if returned else 0.0,
            "bytes_to_device": moved,
            "bytes_from_device": returned,
        }

    def _placed(self, sizes: Sizes, inputs: Arrays, with_windows: bool = False) -> Loaded:
        job = self._job(sizes)
        try:
            return Loaded(self._device, self._module, job, inputs, with_windows)
        except TooLarge as error:
            raise unsuitable(error, self._kernel, sizes, self._launch, self._variant) from None

    def _job(self, sizes: Sizes) -> Job:
        launches = self._kernel.launches(sizes, self._launch, self._variant)
        return Job(sizes, self._kernel.output_shape(sizes), self._dtype, launches)

    def _in_use(self) -> _Resident:
        if self._resident is None:
            raise RuntimeError("load comes before sample")
        return self._resident

    def _unless_hung(self, act: Callable[[], None]) -> None:
        if not self._watch.hung:
            act()


class _Resident:
    """What samples run on, and which of them are looked at afterwards."""

    def __init__(
        self, loaded: Loaded, inputs: Arrays, renew: Fresh | None, random: np.random.Generator
    ) -> None:
        self.loaded, self.inputs = loaded, inputs
        self._renew, self._random = renew, random
        self._orders: dict[str, Iterator[int]] = {
            name: shuffled(count, random)
            for name, count in loaded.windows.items()
            if name in inputs and count > 1
        }
        self.kept: tuple[_Chosen, NDArray[Any]] | None = None
        self.last = _Chosen(inputs, {})
        self._samples = 0

    def choose(self, new: bool = True) -> _Chosen:
        """What the next run is given; inputs drawn anew are on the device when this returns."""
        if self._renew is not None and new:
            self.inputs = self._renew()
            self.loaded.put(self.inputs)
        return _Chosen(self.inputs, {name: next(order) for name, order in self._orders.items()})

    def perhaps_keep(self, chosen: _Chosen) -> None:
        """Each sample is kept as likely as any other, in the end."""
        self.last, self._samples = chosen, self._samples + 1
        if self._random.integers(self._samples) == 0:
            self.kept = chosen, self.loaded.output()


def compile_options(dtype: str) -> list[str]:
    """What kernels are compiled with: REAL is the element type."""
    return [f"-DREAL={C_TYPES[dtype]}"]
