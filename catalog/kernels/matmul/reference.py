"""A matrix product in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

TILES = {"naive": 16, "tiled": 16, "register_blocked": 64}
"""Rows and columns of the output that a block works out; the same numbers as in kernel.cu."""
THREADS = 16
"""Along each side of a block."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`a` [rows, inner] and `b` [inner, columns], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    return {
        "a": random.standard_normal((sizes["rows"], sizes["inner"]), dtype=kind),
        "b": random.standard_normal((sizes["inner"], sizes["columns"]), dtype=kind),
    }


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[rows, columns]."""
    return (sizes["rows"], sizes["columns"])


def expected(inputs: Arrays) -> Expected:
    """The product in float64; the scale of an element is |a|·|b|."""
    a, b = inputs["a"].astype(np.float64), inputs["b"].astype(np.float64)
    return Expected(a @ b, np.abs(a) @ np.abs(b))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """BLAS."""
    product: NDArray[Any] = inputs["a"] @ inputs["b"]
    return product


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Three matrices moved once; a product and a sum for each of rows, columns and inner."""
    rows, columns, inner = sizes["rows"], sizes["columns"], sizes["inner"]
    elements = rows * inner + inner * columns + rows * columns
    return Cost(
        bytes=elements * (4 if dtype == "float32" else 8), operations=2 * rows * columns * inner
    )


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """A block for each tile of the output."""
    del launch  # the tiles are fixed in kernel.cu
    tile = TILES[variant]
    grid = (-(-sizes["columns"] // tile), -(-sizes["rows"] // tile), 1)
    arguments = ("a", "b", "output", "rows", "columns", "inner")
    return Launches((Launch(f"matmul_{variant}", grid, (THREADS, THREADS, 1), arguments),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a tile and its depth."""
    del launch
    cases = [
        (1, 1, 1), (1, 127, 3), (15, 17, 16), (16, 16, 15), (63, 65, 17), (64, 64, 64),
        (65, 63, 1), (131, 67, 129),
    ]  # fmt: skip
    return [{"rows": rows, "columns": columns, "inner": inner} for rows, columns, inner in cases]
