"""Peaks measured on the very device: a copy and multiply-adds on a GPU, and NumPy's on a CPU."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.runner.device import Device, Memory
from worker.runner.physics import Peaks
from worker.runner.running import Stopwatch, best_of

NAME = "peaks.cu"
CHAINS, UNROLLED = 8, 16
SOURCE = f"""// What a GPU can move and compute at most. REAL is float or double.
struct __align__(16) Sixteen {{ unsigned words[4]; }};

extern "C" __global__ void peak_copy(const Sixteen* __restrict__ from, Sixteen* __restrict__ to,
                                     int count)
{{
    const size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride)
        to[i] = from[i];
}}

// Multiply-adds in {CHAINS} chains that do not wait for each other. What comes out is of no
// interest, but has to come out, or the compiler would leave it all away.
extern "C" __global__ void peak_fma(REAL* output, int rounds)
{{
    const size_t thread = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    const REAL factor = (REAL)1 - (REAL)1 / (rounds + 2), summand = (REAL)1 / (rounds + 3);
    REAL chains[{CHAINS}];
#pragma unroll
    for (int chain = 0; chain < {CHAINS}; ++chain) chains[chain] = (REAL)(thread % 32 + chain);
    for (int round = 0; round < rounds; ++round) {{
#pragma unroll
        for (int step = 0; step < {UNROLLED}; ++step)
#pragma unroll
            for (int chain = 0; chain < {CHAINS}; ++chain)
                chains[chain] = chains[chain] * factor + summand;
    }}
    REAL sum = 0;
#pragma unroll
    for (int chain = 0; chain < {CHAINS}; ++chain) sum += chains[chain];
    output[thread] = sum;
}}
"""
THREADS = 256
BLOCKS_EACH = 8
"""Blocks for each multiprocessor: as many threads as any of them holds at once."""
REPEATS = 10
LONG_ENOUGH_S = 0.002
LEAST_ROUNDS, MOST_ROUNDS = 16, 2**18
UNKNOWN_CACHE_BYTES = 8 * 1024**2
CPU_SECONDS = 0.06
CPU_LEAST_BYTES, CPU_MOST_BYTES = 32 * 1024, 256 * 1024**2
CPU_LEAST_SIDE, CPU_MOST_SIDE = 384, 1536


def gpu_peaks(device: Device, module: Any, itemsize: int) -> Peaks:
    """Bytes read and written by the better of a kernel and the driver's own copy, far larger than
    the cache, and multiply-adds in numbers of `itemsize` bytes, counted as two operations.

    `module` is SOURCE compiled for it.
    """
    watch = Stopwatch(device)
    return Peaks(_copied(device, module, watch), _multiplied(device, module, watch, itemsize))


def _copied(device: Device, module: Any, watch: Stopwatch) -> float:
    count = 16 * (device.level2_bytes or UNKNOWN_CACHE_BYTES) // 16 * 16
    count = min(count, device.memory_bytes // 8 // 16 * 16)
    held: list[Memory] = []
    try:
        held = [device.allocate(count), device.allocate(count)]
        source, target = held
        device.fill(source, 1)
        function, grid = device.function(module, "peak_copy"), (_blocks(device), 1, 1)
        arguments = (source, target, np.int32(count // 16))
        ways: tuple[Callable[[], None], ...] = (
            lambda: device.launch(function, grid, (THREADS, 1, 1), arguments),
            lambda: device.copy_across(target, source),
        )
        return 2 * count / best_of([_best(watch, way) for way in ways])
    finally:
        for memory in held:
            device.free(memory)


def _multiplied(device: Device, module: Any, watch: Stopwatch, itemsize: int) -> float:
    threads = _blocks(device) * THREADS
    output, function = device.allocate(threads * itemsize), device.function(module, "peak_fma")

    def run(rounds: int) -> None:
        arguments = (output, np.int32(rounds))
        device.launch(function, (_blocks(device), 1, 1), (THREADS, 1, 1), arguments)

    try:
        rounds = LEAST_ROUNDS
        while (seconds := _timed(watch, partial(run, rounds))) < LONG_ENOUGH_S:
            if rounds == MOST_ROUNDS:
                break
            rounds = min(MOST_ROUNDS, rounds * max(2, int(LONG_ENOUGH_S / max(seconds, 1e-5))))
        return 2 * CHAINS * UNROLLED * rounds * threads / _best(watch, partial(run, rounds))
    finally:
        device.free(output)


def _blocks(device: Device) -> int:
    return BLOCKS_EACH * device.multiprocessors


def _timed(watch: Stopwatch, run: Callable[[], None]) -> float:
    watch.start()
    run()
    return watch.stop()


def _best(watch: Stopwatch, run: Callable[[], None]) -> float:
    return best_of([_timed(watch, run) for _ in range(REPEATS)])


def cpu_peaks(dtype: str, footprint: int) -> Peaks:
    """NumPy's best at copying, reading and adding as many bytes as the kernel works on, and at a
    product.

    Of that size, because a processor's caches make it many times faster for what fits into them.
    """
    count = min(max(footprint, CPU_LEAST_BYTES), CPU_MOST_BYTES) // (2 * np.dtype(dtype).itemsize)
    one, other = np.ones(count, dtype), np.ones(count, dtype)
    # The library of dot and product takes several threads, which wait for each other where the
    # processor is shared; a sum takes one, as most baselines do.
    sum_s = _cpu_best(lambda: np.add(one, other, out=other))
    two_s = min(_cpu_best(lambda: np.copyto(other, one)), _cpu_best(lambda: np.dot(one, other)))
    moved = one.nbytes * max(2 / two_s, 3 / sum_s)
    # Many threads need large matrices to be busy, few are as fast on small ones.
    fitting = math.isqrt(footprint // (3 * one.itemsize))
    sides = {CPU_LEAST_SIDE, min(max(fitting, CPU_LEAST_SIDE), CPU_MOST_SIDE)}
    return Peaks(moved, max(count / sum_s, *(_cpu_product(dtype, side) for side in sides)))


def _cpu_product(dtype: str, side: int) -> float:
    """Operations a second of a product of two squares."""
    square: NDArray[Any] = np.ones((side, side), dtype)
    into = np.empty_like(square)
    return 2 * side**3 / _cpu_best(lambda: np.matmul(square, square, out=into))


def _cpu_best(run: Callable[[], object]) -> float:
    run()
    times: list[float] = []
    until = time.perf_counter() + CPU_SECONDS
    while len(times) < 3 or time.perf_counter() < until:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return best_of(times)
