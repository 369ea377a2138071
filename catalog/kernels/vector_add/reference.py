"""a + b in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

BLOCKS_OF_A_GRID = 2048
"""Of the variant `strided`: more than any GPU holds at once."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`a` and `b` [n], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    return {name: random.standard_normal(sizes["n"], dtype=kind) for name in ("a", "b")}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[n]."""
    return (sizes["n"],)


def expected(inputs: Arrays) -> Expected:
    """The sum in float64; the scale is |a| + |b|."""
    a, b = inputs["a"].astype(np.float64), inputs["b"].astype(np.float64)
    return Expected(a + b, np.abs(a) + np.abs(b))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """NumPy's own addition."""
    total: NDArray[Any] = inputs["a"] + inputs["b"]
    return total


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Two vectors read and one written; an addition each."""
    return Cost(bytes=3 * sizes["n"] * (4 if dtype == "float32" else 8), operations=sizes["n"])


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """One function; `strided` has at most BLOCKS_OF_A_GRID blocks."""
    blocks = -(-sizes["n"] // launch["threads"])
    entry = "vector_add"
    if variant == "strided":
        entry, blocks = "vector_add_strided", min(blocks, BLOCKS_OF_A_GRID)
    block = (launch["threads"], 1, 1)
    return Launches((Launch(entry, (blocks, 1, 1), block, ("a", "b", "output", "n")),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a block."""
    threads = launch["threads"]
    return [{"n": n} for n in (1, 127, 128, 129, threads - 1, threads, threads + 1, 4099)]
