"""A kernel timed by a plain loop of pycuda, which shares no timing code with the harness.

    python -m tests.gpu.independent '{"kernel": "saxpy", "variant": "wide", "dtype": "float32"}'

Prints one line of JSON: the median of cold runs in ms. {"library": true} times the vendor's fp32
matrix product instead, with the sizes of `matmul`.
"""

from __future__ import annotations

import ctypes
import json
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.runners import CATALOG, reference_to
from worker.runner import loading

RUNS, WARM_UPS = 60, 10
SEED = 20


def main() -> None:
    asked = json.loads(sys.argv[1])
    import pycuda.driver as cuda

    cuda.init()
    device = cuda.Device(0)
    context = device.make_context()
    try:
        cache = device.get_attribute(cuda.device_attribute.L2_CACHE_SIZE)
        if asked.get("library"):
            run = vendors_product(cuda, asked["sizes"])
        else:
            run = one_run(cuda, device, asked)
        print(json.dumps({"median_ms": median_ms(cuda, run, 2 * cache)}))
    finally:
        context.pop()
        context.detach()


def median_ms(cuda: Any, run: Any, flushed_bytes: int) -> float:
    """The median of RUNS runs, each after the cache was overwritten."""
    flushed = cuda.mem_alloc(max(flushed_bytes, 1))
    found = []
    for number in range(WARM_UPS + RUNS):
        start, end = cuda.Event(), cuda.Event()
        cuda.Context.synchronize()
        cuda.memset_d8_async(flushed, number % 256, max(flushed_bytes, 1))
        start.record()
        run()
        end.record()
        end.synchronize()
        found.append(end.time_since(start))
    flushed.free()
    return statistics.median(found[WARM_UPS:])


def one_run(cuda: Any, device: Any, asked: dict[str, Any]) -> Any:
    """What queues one run of a kernel of the catalog at its default sizes and launch."""
    from worker.runner import nvrtc

    entry = CATALOG.kernels[asked["kernel"]]
    kernel = loading.load(reference_to(entry), entry.path / "reference.py")
    sizes = {name: size.default for name, size in entry.sizes.items()}
    launch = {name: size.default for name, size in entry.launch.items()}
    major, minor = device.compute_capability()
    real = {"float32": "float", "float64": "double"}[asked["dtype"]]
    source = (entry.path / "kernel.cu").read_text(encoding="utf-8")
    code = nvrtc.compile_kernel(source, "kernel.cu", f"sm_{major}{minor}", [f"-DREAL={real}"])
    module = cuda.module_from_buffer(code.cubin)
    plan = kernel.launches(sizes, launch, asked["variant"])
    dtype = np.dtype(asked["dtype"])
    inputs = kernel.inputs(sizes, asked["dtype"], SEED)
    known: dict[str, Any] = {name: np.int32(size) for name, size in sizes.items()}
    for name, array in inputs.items():
        known[name] = array[()] if array.ndim == 0 else cuda.to_device(array)
    counts = {**plan.temporaries, "output": int(np.prod(kernel.output_shape(sizes)))}
    for name, count in counts.items():
        known[name] = cuda.mem_alloc(count * dtype.itemsize)
    steps = [_step(cuda, module, step, known, inputs, counts, dtype) for step in plan.steps]

    def run() -> None:
        for step in steps:
            step()

    # What the steps use lives as long as they do.
    run.keeps = (module, known)  # type: ignore[attr-defined]
    return run


def _step(
    cuda: Any,
    module: Any,
    step: Any,
    known: dict[str, Any],
    inputs: dict[str, Any],
    counts: dict[str, int],
    dtype: np.dtype[Any],
) -> Any:
    if hasattr(step, "entry"):
        function = module.get_function(step.entry)
        arguments = [
            known[part] if isinstance(part, str) else np.int32(part) for part in step.arguments
        ]
        return lambda: function(*arguments, grid=step.grid, block=step.block)
    source, target, host = step.source, step.target, step.host
    if host is None:
        size = counts[target] * dtype.itemsize
        return lambda: cuda.memcpy_dtod_async(known[target], known[source], size)
    count = counts[target]
    there = cuda.pagelocked_empty(count, dtype) if step.pinned else np.empty(count, dtype)
    if host == "source":
        there[:] = inputs[source].reshape(-1)
        return lambda: cuda.memcpy_htod_async(known[target], there)
    return lambda: cuda.memcpy_dtoh_async(there, known[source])


def vendors_product(cuda: Any, sizes: dict[str, int]) -> Any:
    """What queues cuBLAS's product in plain fp32, without tensor cores."""
    [path] = [
        Path(str(file.locate())) for file in metadata.files("nvidia-cublas-cu12") or ()
        if file.name.startswith("libcublas.so.")
    ]  # fmt: skip
    library = ctypes.CDLL(str(path))
    handle = ctypes.c_void_p()
    _checked(library.cublasCreate_v2(ctypes.byref(handle)))
    rows, columns, inner = (sizes[name] for name in ("rows", "columns", "inner"))
    a, b, c = (
        cuda.mem_alloc(4 * count) for count in (rows * inner, inner * columns, rows * columns)
    )
    random = np.random.default_rng(SEED)
    cuda.memcpy_htod(a, random.standard_normal(rows * inner, dtype=np.float32))
    cuda.memcpy_htod(b, random.standard_normal(inner * columns, dtype=np.float32))
    one, nought = ctypes.c_float(1), ctypes.c_float(0)
    pointers = [ctypes.c_void_p(int(memory)) for memory in (b, a, c)]

    def run() -> None:
        # It counts by columns: the product of the transposed ones in the other order is ours.
        _checked(
            library.cublasSgemm_v2(
                handle, 0, 0, columns, rows, inner, ctypes.byref(one), pointers[0], columns,
                pointers[1], inner, ctypes.byref(nought), pointers[2], columns,
            )
        )  # fmt: skip

    run.keeps = (a, b, c)  # type: ignore[attr-defined]
    return run


def _checked(status: int) -> None:
    if status:
        raise RuntimeError(f"cuBLAS answered {status}")


if __name__ == "__main__":
    main()
