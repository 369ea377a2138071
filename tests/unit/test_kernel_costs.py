"""What each kernel says it moves and works out, against counting it one by one at odd sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest

from labpool.sdk import Sizes
from tests.support.runners import CATALOG, reference_to
from worker.runner import loading
from worker.runner.benchmark import FUNCTIONS

Count = Callable[..., int]


def convolved(height: int, width: int) -> int:
    """A product and a sum for each place of the filter that lies over the picture."""
    operations = 0
    for row, column, dy, dx in product(range(height), range(width), (-1, 0, 1), (-1, 0, 1)):
        if 0 <= row + dy < height and 0 <= column + dx < width:
            operations += 2
    return operations


def layered(outputs: int, inputs: int, batch: int) -> int:
    """A product and a sum a weight and vector, then the bias and the comparison with nought."""
    return sum(2 * inputs + 2 for _ in product(range(outputs), range(batch)))


def multiplied(rows: int, columns: int, inner: int) -> int:
    """A product and a sum for each number that a number of the output is made of."""
    return sum(2 for _ in product(range(rows), range(columns), range(inner)))


OPERATIONS: Mapping[str, Count] = {
    "conv2d": convolved,
    "copy": lambda n: n,
    "dense_relu": layered,
    "matmul": multiplied,
    "reduce_sum": lambda n: max(1, n - 1),
    "saxpy": lambda n: 2 * n,
    "softmax": lambda rows, columns: 5 * rows * columns,
    "transpose": lambda rows, columns: rows * columns,
    "vector_add": lambda n: n,
}
"""By hand, from the sizes."""
SIZES: Mapping[str, list[Sizes]] = {
    "conv2d": [{"height": h, "width": w} for h, w in ((1, 1), (1, 7), (2, 5), (13, 17))],
    "dense_relu": [{"outputs": o, "inputs": i, "batch": b} for o, i, b in ((1, 1, 1), (7, 13, 3))],
    "matmul": [{"rows": r, "columns": c, "inner": i} for r, c, i in ((1, 1, 1), (7, 13, 3))],
    "softmax": [{"rows": rows, "columns": columns} for rows, columns in ((1, 1), (7, 13))],
    "transpose": [{"rows": rows, "columns": columns} for rows, columns in ((1, 7), (7, 13))],
    **{name: [{"n": 1}, {"n": 127}] for name in ("copy", "reduce_sum", "saxpy", "vector_add")},
}


def test_every_kernel_is_counted() -> None:
    assert set(OPERATIONS) == set(SIZES) == set(CATALOG.kernels)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_bytes_are_those_counted_by_hand(name: str, dtype: str) -> None:
    entry = CATALOG.kernels[name]
    kernel: Any = loading.load(reference_to(entry), entry.path / "reference.py", *FUNCTIONS)
    for sizes in SIZES[name]:
        cost = kernel.cost(sizes, dtype)
        assert cost.operations == OPERATIONS[name](**sizes), sizes
        # Every input is read once and the output is written once.
        arrays = kernel.inputs(sizes, dtype, 1)
        output = int(np.prod(kernel.output_shape(sizes))) * np.dtype(dtype).itemsize
        assert cost.bytes == sum(array.nbytes for array in arrays.values()) + output, sizes
