"""A copy in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Copy, Cost, DTypeName, Expected, Launch, Launches, Sizes

LOAD_BYTES = 16
"""A load of the variant `on_device`; the same number as in kernel.cu."""
BY_DRIVER = {
    "by_driver": Copy("x", "output"),
    "to_device_pinned": Copy("x", "output", host="source", pinned=True),
    "to_device_pageable": Copy("x", "output", host="source"),
    "from_device_pinned": Copy("x", "output", host="target", pinned=True),
    "from_device_pageable": Copy("x", "output", host="target"),
}


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`x` [n], standard normal."""
    kind = np.float32 if dtype == "float32" else np.float64
    return {"x": np.random.default_rng(seed).standard_normal(sizes["n"], dtype=kind)}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[n]."""
    return (sizes["n"],)


def expected(inputs: Arrays) -> Expected:
    """The same numbers; the scale is their size."""
    x = inputs["x"].astype(np.float64)
    return Expected(x, np.abs(x))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """NumPy's copy."""
    return inputs["x"].copy()


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Every number read and written once. Moving a number is counted as its one operation."""
    return Cost(bytes=2 * sizes["n"] * (4 if dtype == "float32" else 8), operations=sizes["n"])


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """One function or one copy. A thread of `on_device` moves two numbers of float64 and four of
    float32; the grid has room for both."""
    if variant in BY_DRIVER:
        return Launches((BY_DRIVER[variant],))
    threads = launch["threads"]
    wide = variant == "on_device"
    entry, each = ("copy_wide", LOAD_BYTES // 8) if wide else ("copy_one_each", 1)
    grid = (-(-sizes["n"] // (threads * each)), 1, 1)
    return Launches((Launch(entry, grid, (threads, 1, 1), ("x", "output", "n")),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a load and a block."""
    threads = launch["threads"]
    return [{"n": n} for n in (1, 3, 5, 127, 129, threads - 1, threads + 1, 4 * threads + 1, 4099)]
