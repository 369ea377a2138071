"""Every CUDA source of the catalog, run on the processor against its reference.

This shows that the logic is right on odd sizes; it says nothing about speed, and a GPU may still
disagree (`make gpu-test`).
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.catalog import KernelEntry
from labpool.sdk import DTypeName, Expected, Launch, Launches
from tests.support.cuda.on_host import HostError, HostTarget
from tests.support.runners import CATALOG, reference_to
from worker.runner import judging, loading
from worker.runner.benchmark import FUNCTIONS

CASES = [
    pytest.param(entry, variant, dtype, id=f"{name}-{variant}-{dtype}")
    for name, entry in CATALOG.kernels.items()
    for variant in entry.variants
    for dtype in entry.dtypes
]


@pytest.mark.parametrize("backwards", [False, True], ids=["in-order", "backwards"])
@pytest.mark.parametrize(("entry", "variant", "dtype"), CASES)
def test_a_kernel_is_right_on_every_edge(
    entry: KernelEntry, variant: str, dtype: DTypeName, backwards: bool
) -> None:
    kernel: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    launch = {name: size.default for name, size in entry.launch.items()}
    target = HostTarget(kernel, entry.path / "kernel.cu", dtype, launch, variant, backwards)
    tolerance = entry.tolerance[dtype]
    worst = judging.check_edges(kernel, target.compute, launch, dtype, tolerance, 1)
    assert worst <= tolerance


def at_the_ends(entry: KernelEntry) -> list[dict[str, int]]:
    """Least and most of each launch parameter, and threads that are no multiple of a warp."""
    ends = {name: [size.minimum, size.maximum] for name, size in entry.launch.items()}
    if "threads" in ends:
        ends["threads"].append(97)
    return [dict(zip(ends, chosen, strict=True)) for chosen in product(*ends.values())]


@pytest.mark.parametrize(
    ("entry", "variant"),
    [
        pytest.param(entry, variant, id=f"{name}-{variant}")
        for name, entry in CATALOG.kernels.items()
        for variant in entry.variants
        if entry.launch
    ],
)
def test_a_kernel_is_right_with_every_launch_it_allows(entry: KernelEntry, variant: str) -> None:
    kernel: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    for launch in at_the_ends(entry):
        target = HostTarget(kernel, entry.path / "kernel.cu", "float32", launch, variant, True)
        tolerance = entry.tolerance["float32"]
        worst = judging.check_edges(kernel, target.compute, launch, "float32", tolerance, 1)
        assert worst <= tolerance


class Doubling:
    """What the small kernels below should do: twice each number, 70 of them in blocks of 64."""

    def launches(self, sizes: Any, launch: Any, variant: str) -> Launches:
        del sizes, launch, variant
        return Launches((Launch("f", (2, 1, 1), (64, 1, 1), ("x", "output", "n")),))

    def output_shape(self, sizes: Any) -> tuple[int, ...]:
        return (sizes["n"],)


def _run(tmp_path: Path, body: str, backwards: bool = False) -> Any:
    source = tmp_path / "kernel.cu"
    source.write_text(
        'extern "C" __global__ void f(const REAL* x, REAL* output, int n)\n{\n'
        f"const int i = blockIdx.x * blockDim.x + threadIdx.x;\n{body}\n}}\n"
    )
    target = HostTarget(Doubling(), source, "float32", {}, "plain", backwards)
    x = np.arange(70, dtype=np.float32)
    return target.compute({"n": 70}, {"x": x}), Expected(2.0 * x, np.abs(2.0 * x) + 1)


def test_a_right_kernel_is_right(tmp_path: Path) -> None:
    found, expected = _run(tmp_path, "if (i < n) output[i] = 2 * x[i];")
    assert judging.error_of(found, expected, 1e-6, "doubling") == 0


@pytest.mark.parametrize("body", ["output[i] = 2;", "if (x[i + 4096] > 0) output[0] = 1;"])
def test_an_access_past_the_end_is_caught(tmp_path: Path, body: str) -> None:
    with pytest.raises(HostError, match="outside"):
        _run(tmp_path, body)


def test_an_element_that_is_not_written_shows(tmp_path: Path) -> None:
    found, _ = _run(tmp_path, "if (i + 1 < n) output[i] = 2 * x[i];")
    assert np.isnan(found[-1])
    assert not np.isnan(found[:-1]).any()


MIRRORED_TWICE = """
__shared__ REAL tile[64];
tile[threadIdx.x] = i < n ? x[i] : 0;
{barrier}
const REAL other = tile[63 - threadIdx.x];
{barrier}
tile[threadIdx.x] = other;
{barrier}
if (i < n) output[i] = x[i] + tile[63 - threadIdx.x];
"""


def test_a_missing_barrier_shows_in_one_of_the_two_orders(tmp_path: Path) -> None:
    right, expected = _run(tmp_path, MIRRORED_TWICE.format(barrier="__syncthreads();"))
    assert judging.error_of(right, expected, 1e-6, "with barriers") == 0
    found = [_run(tmp_path, MIRRORED_TWICE.format(barrier=""), order)[0] for order in (False, True)]
    assert any((output != expected.value).any() for output in found)


def test_a_barrier_that_not_all_threads_reach_is_caught(tmp_path: Path) -> None:
    body = "if (threadIdx.x % 2) __syncthreads(); else __shfl_down_sync(~0u, n, 1);\noutput[0] = 1;"
    with pytest.raises(HostError, match="barrier"):
        _run(tmp_path, body)


def test_a_shuffle_that_asks_an_ended_lane_is_caught(tmp_path: Path) -> None:
    body = "if (i >= n) return;\noutput[i] = __shfl_down_sync(~0u, 2 * x[i], 1);"
    with pytest.raises(HostError, match="lane that has ended"):
        _run(tmp_path, body)
