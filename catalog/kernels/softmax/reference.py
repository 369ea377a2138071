"""Softmax of every row in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

WARP = 32


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`x` [rows, columns], normal with a spread of 30: exponents that overflow without care."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    return {"x": 30 * random.standard_normal((sizes["rows"], sizes["columns"]), dtype=kind)}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[rows, columns]."""
    return (sizes["rows"], sizes["columns"])


def expected(inputs: Arrays) -> Expected:
    """In float64. The scale of a probability is itself, or for tiny ones its share of the row."""
    value = _softmax(inputs["x"].astype(np.float64))
    return Expected(value, np.maximum(value, 1.0 / value.shape[1]))


def baseline(inputs: Arrays) -> NDArray[Any]:
    """The same in the inputs' own type."""
    return _softmax(inputs["x"])


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Read once, written once; comparison, difference, exponential, sum and division each."""
    elements = sizes["rows"] * sizes["columns"]
    return Cost(bytes=2 * elements * (4 if dtype == "float32" else 8), operations=5 * elements)


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """As many rows a block as it has warps, or threads."""
    threads = launch["warps"] * WARP
    rows = launch["warps"] if variant == "warp_per_row" else threads
    grid = (-(-sizes["rows"] // rows), 1, 1)
    arguments = ("x", "output", "rows", "columns")
    return Launches((Launch(f"softmax_{variant}", grid, (threads, 1, 1), arguments),))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a warp and a block."""
    warps = launch["warps"]
    cases = [
        (1, 1),
        (7, 2),
        (warps + 1, WARP - 1),
        (warps, WARP),
        (3, WARP + 1),
        (131, 67),
        (5, 257),
    ]
    return [{"rows": rows, "columns": columns} for rows, columns in cases]


def _softmax(x: NDArray[Any]) -> NDArray[Any]:
    powers: NDArray[Any] = np.exp(x - x.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers
