"""ReLU(W·x + b) in NumPy: inputs, the right answer, the CPU baseline and the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

WARP = 32
VECTORS = 4
"""Vectors a warp works on at once; the same number as in kernel.cu."""
ROWS_AT_ONCE = 512
"""Rows of W turned into float64 at a time, so that the check needs little memory of its own."""


def inputs(sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
    """`weights` [outputs, inputs], `x` [batch, inputs], `bias` [outputs], standard normal."""
    random = np.random.default_rng(seed)
    kind = np.float32 if dtype == "float32" else np.float64
    shapes = {
        "weights": (sizes["outputs"], sizes["inputs"]),
        "x": (sizes["batch"], sizes["inputs"]),
        "bias": (sizes["outputs"],),
    }
    return {name: random.standard_normal(shape, dtype=kind) for name, shape in shapes.items()}


def output_shape(sizes: Sizes) -> tuple[int, ...]:
    """[batch, outputs]."""
    return (sizes["batch"], sizes["outputs"])


def expected(inputs: Arrays) -> Expected:
    """The layer in float64; the scale of an element is |W|·|x| + |b|."""
    weights, bias = inputs["weights"], inputs["bias"].astype(np.float64)
    x = inputs["x"].astype(np.float64)
    value = np.empty((len(x), len(weights)))
    scale = np.empty_like(value)
    for start in range(0, len(weights), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = weights[rows].astype(np.float64)
        value[:, rows] = np.maximum(x @ part.T + bias[rows], 0.0)
        scale[:, rows] = np.abs(x) @ np.abs(part).T + np.abs(bias[rows])
    return Expected(value, scale)


def baseline(inputs: Arrays) -> NDArray[Any]:
    """What a careful NumPy user writes: one product by BLAS, bias and ReLU in place."""
    y: NDArray[Any] = inputs["x"] @ inputs["weights"].T
    y += inputs["bias"]
    np.maximum(y, 0, out=y)
    return y


def cost(sizes: Sizes, dtype: DTypeName) -> Cost:
    """Every array moved once; a multiplication and an addition a weight and vector, bias, ReLU."""
    outputs, columns, batch = sizes["outputs"], sizes["inputs"], sizes["batch"]
    elements = outputs * columns + batch * columns + outputs + batch * outputs
    return Cost(
        bytes=elements * (4 if dtype == "float32" else 8),
        operations=2 * batch * outputs * columns + 2 * batch * outputs,
    )


def launches(sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
    """One warp a row of W, `warps` rows a block; VECTORS vectors of the batch a block."""
    del variant  # there is one
    rows = launch["warps"]
    step = Launch(
        "dense_relu",
        grid=(-(-sizes["outputs"] // rows), -(-sizes["batch"] // VECTORS), 1),
        block=(WARP, rows, 1),
        arguments=("weights", "x", "bias", "output", "outputs", "inputs", "batch"),
    )
    return Launches((step,))


def edge_sizes(launch: Mapping[str, int]) -> Sequence[Sizes]:
    """One, primes, and one more or less than a warp, a block and a group of vectors."""
    rows = launch["warps"]
    cases = [
        (1, 1, 1),
        (1, 127, 1),
        (7, WARP - 1, 2),
        (rows, WARP, VECTORS),
        (rows + 1, WARP + 1, VECTORS + 1),
        (2 * rows + 1, 129, VECTORS - 1),
        (131, 257, 13),
        (257, 1, 1),
    ]
    return [{"outputs": o, "inputs": i, "batch": b} for o, i, b in cases]
