"""A real runner that runs the catalog's kernels on a fake GPU; a slot starts it as a file.

What the compiler says and what a kernel takes is NVRTC's; times are made up.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ["LABPOOL_RUNNER_LAZY"] = "1"

from tests.support.cuda.fake_device import FakeDevice, host_compiler
from worker.runner import cuda_target, peaks, pycuda_device, sampling
from worker.runner.__main__ import main
from worker.runner.compiling import CompiledKernel


def compiled(source: str, name: str, architecture: str, options: Sequence[str]) -> CompiledKernel:
    """As the catalog's are, with the processor's machine code in the end."""
    found = cuda_target.of_the_catalog(source, name, architecture, options)
    return replace(found, cubin=host_compiler(source, name, architecture, options).cubin)


def device() -> FakeDevice:
    """A GPU whose registers let no more than 640 threads be a block."""
    return FakeDevice(most_threads=lambda entry: 640)


if __name__ == "__main__":
    sampling.WARM_UP_S = sampling.COOLING_S = 0.0
    sampling.MOST_BATCHES = 10
    peaks.REPEATS = peaks.BLOCKS_EACH = 2
    cuda_target.CudaTarget = partial(  # type: ignore[assignment, misc]
        cuda_target.CudaTarget, compiler=compiled
    )
    pycuda_device.PycudaDevice = device  # type: ignore[assignment, misc]
    main()
