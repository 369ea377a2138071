"""alpha x + y in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

LOAD_BYTES = 16
"""A load of the variant `wide`; the same number as in kernel.cu."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`alpha` [] and `x` and `y` [n], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    vectors = {name: random.standard_normal(sizes["n"], dtype=kind) for name in ("x", "y")}
    return {"alpha": np.array(random.standard_normal(), kind), **vectors}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[n]."""
    return (sizes["n"],)


def expected(inputs: Arrays) -> Expected:
    """In float64; the scale is |alpha x| + |y|."""
    product = inputs["alpha"].astype(np.float64) * inputs["x"].astype(np.float64)
    y = inputs["y"].astype(np.float64)
    return Expected(product + y, np.abs(product) + np.abs(y))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """A product, then the sum in place."""
    result: NDArray[Any] = inputs["alpha"] * inputs["x"]
    result += inputs["y"]
    return result


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Two vectors and a number read, one vector written; a product and a sum each."""
    size = 4 if dtype == "float32" else 8
    return Cost(bytes=(3 * sizes["n"] + 1) * size, operations=2 * sizes["n"])


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """One function. A thread of `wide` does two numbers of float64 and four of float32; the grid
    has room for both."""
    threads = launch["threads"]
    entry, each = ("saxpy_wide", LOAD_BYTES // 8) if variant == "wide" else ("saxpy", 1)
    grid = (-(-sizes["n"] // (threads * each)), 1, 1)
    arguments = ("alpha", "x", "y", "output", "n")
    return Launches((Launch(entry, grid, (threads, 1, 1), arguments),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a load and a block."""
    threads = launch["threads"]
    return [{"n": n} for n in (1, 3, 5, 127, 129, threads - 1, threads + 1, 4 * threads + 1, 4099)]
