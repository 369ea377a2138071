"""A launch that a GPU does not allow is the spec's mistake, named; a GPU is never blamed for it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from labpool.catalog import KernelEntry
from labpool.sdk import Launch, Unsuitable
from tests.support.cuda.fake_device import FakeDevice, host_compiler
from tests.support.cuda.own_fake import TIMED
from tests.support.own_kernels import SAXPY
from tests.support.reports import Quiet
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading, pycuda_device
from worker.runner.benchmark import FUNCTIONS, Plan
from worker.runner.compiling import compile_apart
from worker.runner.cuda_target import CudaTarget
from worker.runner.launch_limits import TooManyThreads, TooMuchShared, require_allowed, unsuitable
from worker.runner.own_benchmark import Means, Task, measure_own
from worker.runner.pycuda_device import PycudaDevice
from worker.runner.reasons import CompileError, classify

WARPS = (
    r"launch\.warps: 32 is too much: blocks of 1024 threads .* dense_relu\w*, .* 640\. Take less"
)


def kernel_of(name: str) -> tuple[KernelEntry, Any]:
    entry = CATALOG.kernels[name]
    return entry, loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)


def computed(device: FakeDevice, name: str, launch: dict[str, int], variant: str) -> None:
    """One run at the kernel's first edge size."""
    entry, kernel = kernel_of(name)
    source = entry.path / "kernel.cu"
    try:
        target = CudaTarget(kernel, source, "float32", launch, variant, device, host_compiler)
        sizes = kernel.edge_sizes(launch)[0]
        target.compute(sizes, kernel.inputs(sizes, "float32", 1))
    finally:
        device.end()


def test_it_works() -> None:
    device = FakeDevice(most_threads=lambda entry: 640)
    variant = next(iter(CATALOG.kernels["dense_relu"].variants))
    computed(device, "dense_relu", {"warps": 20}, variant)
    assert device.launched != []


def test_too_many_threads_name_the_parameter() -> None:
    device = FakeDevice(most_threads=lambda entry: 640)
    variant = next(iter(CATALOG.kernels["dense_relu"].variants))
    with pytest.raises(Unsuitable, match=WARPS) as refused:
        computed(device, "dense_relu", {"warps": 32}, variant)
    assert classify(refused.value)[0] == "user_error"
    assert device.launched == []
    assert device.held_bytes == 2 * device.level2_bytes, "nothing was placed"


def test_only_parameters_that_shape_blocks_are_named() -> None:
    device = FakeDevice(most_threads=lambda entry: 512)
    variant = next(iter(CATALOG.kernels["reduce_sum"].variants))
    with pytest.raises(Unsuitable, match=r"launch\.log2_threads: 10 is too much") as refused:
        computed(device, "reduce_sum", {"log2_threads": 10, "blocks": 512}, variant)
    assert "launch.blocks" not in str(refused.value)


def test_a_kernel_without_parameters_names_its_variant() -> None:
    device = FakeDevice(most_threads=lambda entry: 128)
    with pytest.raises(Unsuitable, match=r"variant: tiled cannot run here: blocks of 256 threads"):
        computed(device, "matmul", {}, "tiled")


def test_shared_memory_names_the_variant() -> None:
    device = FakeDevice(shared_bytes=64 * 1024)
    with pytest.raises(Unsuitable, match=r"variant: one_each .* 65536 bytes .* allows 49152"):
        computed(device, "saxpy", {"threads": 64}, "one_each")


def test_the_compiler_refuses_more_shared_memory_than_any_block_has() -> None:
    source = 'extern "C" __global__ void f(float* x) { __shared__ float s[16384]; s[threadIdx.x] = '
    source += "x[0]; __syncthreads(); x[threadIdx.x] = s[threadIdx.x ^ 1]; }"
    with pytest.raises(CompileError, match=r"uses too much shared data \(0x10000 bytes"):
        compile_apart(source, "mine.cu", "sm_90", [], None)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        ("few_threads", r"launch\.threads: 64 is too much: blocks of 64 threads .* saxpy, .* 32"),
        ("little_shared", r"variant: one_each cannot run here: saxpy takes 65536 bytes"),
    ],
)
def test_of_a_users_own_source_too(make: str, says: str) -> None:
    _, kernel = kernel_of("saxpy")
    plan = Plan({"n": TIMED}, "float32", "one_each", {"threads": 64}, "gpu", 1, 10)
    means = Means(f"from tests.support.cuda.own_fake import {make} as make", host_compiler)
    with pytest.raises(Unsuitable, match=says):
        measure_own(Task(kernel, plan, 1e-6, SAXPY), Quiet.of(), lambda _: None, means)


@pytest.mark.parametrize("name", CATALOG.kernels)
def test_the_largest_sizes_fit_into_any_gpus_grid(name: str) -> None:
    entry, kernel = kernel_of(name)
    sizes = {size: about.maximum for size, about in entry.sizes.items()}
    for smallest in (True, False):
        launch = {
            each: about.minimum if smallest else about.maximum
            for each, about in entry.launch.items()
        }
        for variant in entry.variants:
            for step in kernel.launches(sizes, launch, variant).steps:
                if isinstance(step, Launch):
                    assert step.grid[0] < 2**31 and max(step.grid[1:]) <= 65535
                    assert math.prod(step.block) <= 1024 and step.block[2] <= 64


class Pycuda(SimpleNamespace):
    """As much of pycuda.driver as making a device and asking for limits takes."""

    class Error(Exception):
        pass

    class LogicError(Error):
        pass

    MemoryError = type("MemoryError", (Error,), {})
    device_attribute = SimpleNamespace(
        L2_CACHE_SIZE=1, MULTIPROCESSOR_COUNT=2, CLOCK_RATE=3, MAX_SHARED_MEMORY_PER_BLOCK=4
    )
    function_attribute = SimpleNamespace(MAX_THREADS_PER_BLOCK="threads", SHARED_SIZE_BYTES="bytes")

    class Device:
        def __init__(self, index: int) -> None:
            assert index == 0

        count = staticmethod(lambda: 1)
        name = staticmethod(lambda: "One")
        compute_capability = staticmethod(lambda: (9, 0))
        total_memory = staticmethod(lambda: 2**30)
        get_attribute = staticmethod({1: 2**20, 2: 4, 3: 1000, 4: 49152}.__getitem__)
        make_context = staticmethod(lambda: None)
        pci_bus_id = staticmethod(lambda: "0000:17:00.0")

    get_driver_version = staticmethod(lambda: 12090)


def test_pycuda_is_asked_for_what_the_function_was_compiled_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pycuda_device, "driver", Pycuda)
    function = SimpleNamespace(get_attribute={"threads": 640, "bytes": 128}.__getitem__)
    limits = PycudaDevice().limits(function)
    assert (limits.threads, limits.shared_bytes, limits.own_shared_bytes) == (640, 49152, 128)
    with pytest.raises(TooManyThreads, match="704 threads"):
        require_allowed(Launch("f", (1, 1, 1), (32, 22, 1), ()), limits)
    require_allowed(Launch("f", (1, 1, 1), (32, 20, 1), ()), limits)


def test_a_kernel_that_does_not_take_less_is_no_matter() -> None:
    class Picky:
        def launches(self, sizes: Any, launch: dict[str, int], variant: str) -> Any:
            if launch["threads"] % 32:
                raise Unsuitable("launch.threads: whole warps, please.")
            return SimpleNamespace(steps=(Launch("f", (1, 1, 1), (launch["threads"], 1, 1), ()),))

    error = unsuitable(TooManyThreads("too many."), Picky(), {}, {"threads": 64}, "plain")
    assert error.detail.startswith("launch.threads: 64 is too much")
    assert unsuitable(TooMuchShared("x."), Picky(), {}, {"threads": 64}, "plain").detail.startswith(
        "variant: plain"
    )
