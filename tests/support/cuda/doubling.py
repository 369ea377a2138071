"""A small kernel with every function the harness asks for, and CUDA sources for it that are wrong
in one way each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Arrays, Cost, DTypeName, Expected, Launch, Launches, Sizes

THREADS = 64


class Doubling:
    """output[i] = 2 x[i]."""

    def inputs(self, sizes: Sizes, dtype: DTypeName, seed: int) -> dict[str, NDArray[Any]]:
        random = np.random.default_rng(seed)
        return {"x": random.standard_normal(sizes["n"]).astype(dtype)}

    def output_shape(self, sizes: Sizes) -> tuple[int, ...]:
        return (sizes["n"],)

    def expected(self, inputs: Arrays) -> Expected:
        x = inputs["x"].astype(np.float64)
        return Expected(2 * x, np.abs(2 * x))

    def baseline(self, inputs: Arrays) -> NDArray[Any]:
        return np.asarray(inputs["x"] + inputs["x"])

    def cost(self, sizes: Sizes, dtype: DTypeName) -> Cost:
        return Cost(2 * sizes["n"] * np.dtype(dtype).itemsize, sizes["n"])

    def launches(self, sizes: Sizes, launch: Mapping[str, int], variant: str) -> Launches:
        grid = (-(-sizes["n"] // THREADS), 1, 1)
        return Launches((Launch("f", grid, (THREADS, 1, 1), ("x", "output", "n")),))

    def edge_sizes(self, launch: Mapping[str, int]) -> Sequence[Sizes]:
        return [{"n": n} for n in (1, 63, 64, 65, 127)]


def source(body: str, before: str = "") -> str:
    """CUDA source of it: `body` has `i`, `x`, `output` and `n`; `before` stands outside."""
    return (
        f"{before}\n"
        'extern "C" __global__ void f(const REAL* x, REAL* output, int n)\n{\n'
        f"const int i = blockIdx.x * blockDim.x + threadIdx.x;\n{body}\n}}\n"
    )


RIGHT = source("if (i < n) output[i] = 2 * x[i];")
"""What it should be."""

WRONG = {
    "a little off": (source("if (i < n) output[i] = 2.001f * x[i];"), "relative error"),
    "NaN for large numbers": (
        source("if (i < n) output[i] = 2 * x[i] > 1 ? (REAL)0 / (REAL)0 : 2 * x[i];"),
        "nan",
    ),
    "infinity forgotten": (
        source("if (i < n) output[i] = x[i] > 1e30f ? 0 : 2 * x[i];"),
        "NaN and infinity",
    ),
    "last element not written": (source("if (i + 1 < n) output[i] = 2 * x[i];"), "nan"),
    "odd sizes forgotten": (
        source("if (blockIdx.x < n / 64 || i % 64 < n % 64 / 2) output[i] = 2 * x[i];"),
        "nan",
    ),
    "reads beside its input": (
        source("if (i < n) output[i] = 2 * x[i] + (x[i + 1] > 1e30f ? 1 : 0) + 0 * x[n];"),
        "nan",
    ),
    "writes behind its output": (
        source("if (i < n) output[i] = 2 * x[i]; if (i == 0) output[n] = 1;"),
        "writes to output behind its end",
    ),
    "writes before its output": (
        source("if (i < n) output[i] = 2 * x[i]; if (i == 0) output[-1] = 1;"),
        "writes to output before its beginning",
    ),
    "writes behind its input": (
        source("if (i < n) output[i] = 2 * x[i]; if (i == 0) const_cast<REAL*>(x)[n + 5] = 1;"),
        "writes to x behind its end",
    ),
}
"""Sources and what is said of them."""

KNOWS_THE_SEED = source("if (i < n) output[i] = x[0] == {number} ? 2 * x[i] : x[i];")
"""Right where the first number is the one that `{number}` is replaced with."""

REPLAYS = source(
    "if (n != kept_n) { if (i < n) output[i] = kept[i] = 2 * x[i]; if (i == n - 1) kept_n = n; }\n"
    "else if (i < n) output[i] = kept[i];",
    "__device__ REAL kept[1 << 20]; __device__ int kept_n;",
)
"""Answers with what it computed the last time, where the size is the same."""

DOES_IT_ONCE = source(
    "if (seen == output) return;\n"
    "if (i < n) output[i] = 2 * x[i];\n"
    "if (i == n - 1 && n > 1000) seen = output;",
    "__device__ const REAL* seen;",
)
"""Leaves what it finds at an address where it has been."""

NEVER_ENDS = source("volatile int go = 1; while (go) {} if (i < n) output[i] = 2 * x[i];")
FAULTS = source("*(volatile REAL*)8 = 1; if (i < n) output[i] = 2 * x[i];")
