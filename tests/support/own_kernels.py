"""CUDA sources as users write them, and specs that bring them."""

from __future__ import annotations

from typing import Any

SAXPY = """// alpha x + y, a number each.
extern "C" __global__ void saxpy(REAL alpha, const REAL* __restrict__ x,
                                 const REAL* __restrict__ y, REAL* __restrict__ output, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) output[i] = alpha * x[i] + y[i];
}
"""


def own(source: str = SAXPY, **more: Any) -> dict[str, Any]:
    """A benchmark spec of saxpy with a source of one's own."""
    return {"kind": "benchmark", "kernel": "saxpy", "sizes": {"n": 1000}, "source": source, **more}
