"""What every kernel of the catalog must keep to. A new one is tested without writing a test."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.catalog import KernelEntry
from labpool.sdk import Copy
from tests.support.cuda.on_host import entries_of
from tests.support.runners import CATALOG, reference_to
from worker.runner import judging, loading
from worker.runner.benchmark import FUNCTIONS

KERNELS = pytest.mark.parametrize("entry", CATALOG.kernels.values(), ids=CATALOG.kernels.keys())


@KERNELS
def test_a_baseline_is_right_at_every_edge(entry: KernelEntry) -> None:
    kernel, launch = kernel_of(entry)
    for dtype in entry.dtypes:
        error = judging.check_edges(
            kernel,
            lambda _, inputs: kernel.baseline(inputs),
            launch,
            dtype,
            entry.tolerance[dtype],
            seed=1,
        )
        assert error <= entry.tolerance[dtype]


@KERNELS
def test_inputs_follow_dtype_and_seed(entry: KernelEntry) -> None:
    kernel, launch = kernel_of(entry)
    sizes = kernel.edge_sizes(launch)[0]
    for dtype in entry.dtypes:
        one, same, other = (kernel.inputs(sizes, dtype, seed) for seed in (1, 1, 2))
        for name, array in one.items():
            assert array.dtype == dtype and array.flags.c_contiguous
            assert np.array_equal(array, same[name])
        assert any(not np.array_equal(array, other[name]) for name, array in one.items())
        assert kernel.baseline(one).shape == kernel.output_shape(sizes)
        assert kernel.baseline(one).dtype == dtype


@KERNELS
def test_a_baseline_leaves_an_output_of_its_own(entry: KernelEntry) -> None:
    """One that hands back a view has moved nothing, and its time would be no kernel's."""
    kernel, launch = kernel_of(entry)
    for sizes in kernel.edge_sizes(launch):
        inputs = kernel.inputs(sizes, "float32", 1)
        output = kernel.baseline(inputs)
        assert output.flags.c_contiguous
        assert not any(np.shares_memory(output, array) for array in inputs.values()), sizes


@KERNELS
def test_a_cost_is_counted_and_doubles_with_the_type(entry: KernelEntry) -> None:
    kernel, _ = kernel_of(entry)
    sizes = {name: size.default for name, size in entry.sizes.items()}
    single, double = (kernel.cost(sizes, dtype) for dtype in ("float32", "float64"))
    assert single.operations == double.operations > 0
    assert double.bytes == 2 * single.bytes > 0
    inputs = kernel.inputs(sizes, "float32", 0)
    output_elements = int(np.prod(kernel.output_shape(sizes)))
    assert single.bytes == sum(a.nbytes for a in inputs.values()) + 4 * output_elements


@KERNELS
def test_a_launch_is_legal_at_every_bound(entry: KernelEntry) -> None:
    kernel, _ = kernel_of(entry)
    size_bounds = [(size.minimum, size.default, size.maximum) for size in entry.sizes.values()]
    launch_bounds = [(size.minimum, size.default, size.maximum) for size in entry.launch.values()]
    for chosen, launched in product(product(*size_bounds), product(*launch_bounds)):
        sizes = dict(zip(entry.sizes, chosen, strict=True))
        small = {name: size.minimum for name, size in entry.sizes.items()}
        known = {*kernel.inputs(small, "float32", 0), "output", *entry.sizes}
        for variant in entry.variants:
            found = kernel.launches(sizes, dict(zip(entry.launch, launched, strict=True)), variant)
            for step in found.steps:
                if isinstance(step, Copy):
                    assert {step.source, step.target} <= known | set(found.temporaries)
                    continue
                assert 1 <= int(np.prod(step.block)) <= 1024
                assert 1 <= step.grid[0] < 2**31
                assert all(1 <= side <= 65535 for side in step.grid[1:])
                named = {part for part in step.arguments if isinstance(part, str)}
                assert named <= known | set(found.temporaries)
                assert step.entry in entries_of(entry.path / "kernel.cu")
            last = found.steps[-1]
            assert "output" in ((last.target,) if isinstance(last, Copy) else last.arguments)


def kernel_of(entry: KernelEntry) -> tuple[Any, dict[str, int]]:
    folder: Path = entry.path
    code = loading.load(reference_to(entry), folder / "reference.py", *FUNCTIONS)
    return code, {name: size.default for name, size in entry.launch.items()}
