"""A transposed matrix in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

SIDE, STRIPS = 32, 8
"""A block's square and its rows of threads; the same numbers as in kernel.cu."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`matrix` [rows, columns], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    return {"matrix": random.standard_normal((sizes["rows"], sizes["columns"]), dtype=kind)}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[columns, rows]."""
    return (sizes["columns"], sizes["rows"])


def expected(inputs: Arrays) -> Expected:
    """The same numbers elsewhere; the scale is their size."""
    turned = np.ascontiguousarray(inputs["matrix"].astype(np.float64).T)
    return Expected(turned, np.abs(turned))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """NumPy's copy of its transposed view."""
    # Not ascontiguousarray: of a single row or column that is the view itself, and nothing moves.
    return inputs["matrix"].T.copy()


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Every number read and written once. Moving a number is counted as its one operation."""
    elements = sizes["rows"] * sizes["columns"]
    return Cost(bytes=2 * elements * (4 if dtype == "float32" else 8), operations=elements)


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """A block for each square."""
    del launch  # the square's side is fixed in kernel.cu
    grid = (-(-sizes["columns"] // SIDE), -(-sizes["rows"] // SIDE), 1)
    arguments = ("matrix", "output", "rows", "columns")
    return Launches((Launch(f"transpose_{variant}", grid, (SIDE, STRIPS, 1), arguments),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, one more or less than a square, and a single row and column."""
    del launch
    cases = [(1, 1), (1, 127), (127, 1), (31, 33), (32, 32), (33, 31), (129, 67), (64, 97)]
    return [{"rows": rows, "columns": columns} for rows, columns in cases]
