"""The sum of a vector in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

ENTRIES = {"shuffles": "sum_by_shuffles", "tree": "sum_by_tree"}


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`x` [n], standard normal."""
    kind = np.float32 if dtype == "float32" else np.float64
    return {"x": np.random.default_rng(seed).standard_normal(sizes["n"], dtype=kind)}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[1]."""
    del sizes
    return (1,)


def expected(inputs: Arrays) -> Expected:
    """Added in pairs in float64; the scale is the sum of the absolute values."""
    x = inputs["x"].astype(np.float64)
    return Expected(np.array([x.sum()]), np.array([np.abs(x).sum()]))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """NumPy's own sum."""
    return np.atleast_1d(inputs["x"].sum())


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Every number read once and one written; n - 1 additions, one at least is counted."""
    size = 4 if dtype == "float32" else 8
    return Cost(bytes=(sizes["n"] + 1) * size, operations=max(1, sizes["n"] - 1))


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """Blocks into `partial`, then one block over `partial`; no block without a number."""
    threads = 2 ** launch["log2_threads"]
    block, blocks = (threads, 1, 1), min(launch["blocks"], -(-sizes["n"] // threads))
    entry = ENTRIES[variant]
    return Launches(
        (
            Launch(entry, (blocks, 1, 1), block, ("x", "partial", "n")),
            Launch(entry, (1, 1, 1), block, ("partial", "output", blocks)),
        ),
        {"partial": blocks},
    )


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a block and than the grid."""
    threads, blocks = 2 ** launch["log2_threads"], launch["blocks"]
    least = (1, 31, 127, 129, threads - 1, threads + 1, 4099)
    return [{"n": n} for n in (*least, threads * min(blocks, 16) + 1)]
