"""What a kernel is timed on, and the CPU as the first of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Sizes
from worker.runner import environment
from worker.runner.peaks import cpu_peaks
from worker.runner.physics import Peaks
from worker.wire_types import Json

LEAST_SAMPLE_S = 0.0005
"""A sample is made of as many runs as take this long: a clock read costs far less than that."""
LOOKS, CLEARLY_LONG_S = 3, 0.05
"""At how long a sample takes, before it counts as long enough: the processor may have been taken
away in between, though hardly for as long as the second."""

Fresh = Callable[[], Arrays]
"""New inputs at each call, of a seed that nobody knows."""


@dataclass(frozen=True)
class Run:
    """A run that was timed: what it was given, and what it left."""

    inputs: Arrays
    output: NDArray[Any]


class Target(Protocol):
    """A device that can run one kernel at one size and say how long that takes."""

    device: Literal["cpu", "gpu"]
    device_name: str
    caches: Literal["cold", "warm"]
    """As a sample finds them."""
    absorbs: int
    """Bytes of a cache that a sample's output may still lie in when its time ends."""

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """One run on fresh inputs of any size, every output element poisoned before.

        Raises WrongResult when it wrote elsewhere.
        """
        ...

    def load(self, sizes: Sizes, inputs: Arrays, fresh: Fresh) -> None:
        """Make the inputs resident, for `sample`, which may ask for others."""
        ...

    def sample(self) -> float:
        """Seconds of one run."""
        ...

    def batch(self, runs: int) -> float:
        """Seconds of one of so many runs back to back."""
        ...

    def held_back(self) -> str | None:
        """Why the last sample or batch does not count; None when it does."""
        ...

    def timed_runs(self) -> Iterable[Run]:
        """Some of the runs that were timed, which ones nobody could foresee; and the last.

        Raises WrongResult when one wrote elsewhere.
        """
        ...

    def peaks(self, dtype: str, footprint: int) -> Peaks:
        """Measured now; `footprint` is the bytes that the kernel works on."""
        ...

    def describe(self) -> Json:
        """How samples are taken and on what, for the result's summary."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class CpuTarget:
    """The kernel's NumPy baseline on this process's threads."""

    device: Literal["cpu", "gpu"] = "cpu"
    caches: Literal["cold", "warm"] = "warm"
    absorbs = 0

    def __init__(self, kernel: Any) -> None:
        self.device_name = environment.cpu_name()
        self._kernel = kernel
        self._inputs: Arrays = {}
        self._output: NDArray[Any] = np.empty(0)
        self._repeats = 1

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """The baseline makes its output anew, so nothing in it can be left over."""
        del sizes  # the arrays have them
        output: NDArray[Any] = self._kernel.baseline(inputs)
        return output

    def load(self, sizes: Sizes, inputs: Arrays, fresh: Fresh) -> None:
        """Keeps the inputs, and finds out how many runs make a sample."""
        del sizes, fresh  # this is no user's code: it need not be surprised
        self._inputs, self._repeats = inputs, 1
        while (seconds := self._undisturbed_s()) < LEAST_SAMPLE_S:
            self._repeats = max(2 * self._repeats, int(LEAST_SAMPLE_S / max(seconds, 1e-9)))

    def _undisturbed_s(self) -> float:
        """Seconds of a whole sample, the shortest of LOOKS where that may matter."""
        shortest = self.sample() * self._repeats
        for _ in range(LOOKS - 1):
            if not LEAST_SAMPLE_S <= shortest < CLEARLY_LONG_S:
                break
            shortest = min(shortest, self.sample() * self._repeats)
        return shortest

    def sample(self) -> float:
        """Seconds of one run: the mean over the runs of a sample."""
        return self.batch(self._repeats)

    def batch(self, runs: int) -> float:
        """Seconds of one run: the mean over `runs`."""
        baseline, inputs = self._kernel.baseline, self._inputs
        began = time.perf_counter()
        for _ in range(runs):
            self._output = baseline(inputs)
        return (time.perf_counter() - began) / runs

    def held_back(self) -> str | None:
        """Nobody tells."""
        return None

    def timed_runs(self) -> Iterable[Run]:
        """The last one."""
        return [Run(self._inputs, self._output)]

    def peaks(self, dtype: str, footprint: int) -> Peaks:
        """NumPy's own."""
        return cpu_peaks(dtype, footprint)

    def describe(self) -> Json:
        """Caches are as the run before left them: that is how a network uses the layer."""
        return {
            "runs_per_sample": self._repeats,
            "caches": self.caches,
            "clock": "perf_counter",
            "cpu": {"name": self.device_name},
        }

    def close(self) -> None:
        """Nothing is held."""
