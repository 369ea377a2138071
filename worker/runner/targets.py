"""What a kernel is timed on, and the CPU as the first of them."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Sizes
from worker.runner import environment
from worker.wire_types import Json

LEAST_SAMPLE_S = 0.0005
"""A sample is made of as many runs as take this long: a clock read costs far less than that."""


class Target(Protocol):
    """A device that can run one kernel at one size and say how long that takes."""

    device: str
    device_name: str

    def compute(self, sizes: Sizes, inputs: Arrays) -> NDArray[Any]:
        """One run on fresh inputs of any size, every output element poisoned before."""
        ...

    def load(self, sizes: Sizes, inputs: Arrays) -> None:
        """Make the inputs resident: what `sample` runs on."""
        ...

    def sample(self) -> float:
        """Seconds of one run. The output stays."""
        ...

    def output(self) -> NDArray[Any]:
        """What the last sample computed."""
        ...

    def describe(self) -> Json:
        """How samples are taken, for the result's summary."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class CpuTarget:
    """The kernel's NumPy baseline on this process's threads."""

    device = "cpu"

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

    def load(self, sizes: Sizes, inputs: Arrays) -> None:
        """Keeps the inputs and finds out how many runs make a sample."""
        del sizes
        self._inputs, self._repeats = inputs, 1
        while (seconds := self.sample() * self._repeats) < LEAST_SAMPLE_S:
            self._repeats = max(2 * self._repeats, int(LEAST_SAMPLE_S / max(seconds, 1e-9)))

    def sample(self) -> float:
        """Seconds of one run: the mean over the runs of a sample."""
        baseline, inputs = self._kernel.baseline, self._inputs
        began = time.perf_counter()
        for _ in range(self._repeats):
            self._output = baseline(inputs)
        return (time.perf_counter() - began) / self._repeats

    def output(self) -> NDArray[Any]:
        """What the last run gave."""
        return self._output

    def describe(self) -> Json:
        """Caches are as the run before left them: that is how a network uses the layer."""
        return {"runs_per_sample": self._repeats, "caches": "warm", "clock": "perf_counter"}

    def close(self) -> None:
        """Nothing is held."""
