"""Sources of saxpy that cheat, by what they try."""

from __future__ import annotations

HEAD = """extern "C" __global__ void saxpy(REAL alpha, const REAL* __restrict__ x,
                                 const REAL* __restrict__ y, REAL* __restrict__ output, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
"""
RIGHT = "alpha * x[i] + y[i]"

CHEATS = {
    "the output of the first run of a size again": f"""
__device__ REAL kept[8192]; __device__ int sizes[8192];
{HEAD}    if (i >= n) return;
    if (sizes[n] == 0) kept[i] = {RIGHT};
    output[i] = kept[i];
    if (i == n - 1) sizes[n] = 1;
}}
""",
    "the output kept by the address of its input": f"""
__device__ const REAL* last; __device__ REAL kept[8192]; __device__ int count;
{HEAD}    if (i >= n) return;
    if (last != x || count != n) kept[i] = {RIGHT};
    output[i] = kept[i];
    if (i == n - 1) {{ last = x; count = n; }}
}}
""",
    "half of the work": f"{HEAD}    if (i < n && i % 2 == 0) output[i] = {RIGHT};\n}}\n",
    "no work once it was checked often": f"""
__device__ int launches;
{HEAD}    if (i < n && launches < 20) output[i] = {RIGHT};
    if (i == 0) launches++;
}}
""",
    "what was left from the last run": f"""
__device__ int sizes[8192];
{HEAD}    if (i >= n) return;
    if (sizes[n] == 0) output[i] = {RIGHT};
    if (i == n - 1) sizes[n] = 1;
}}
""",
    "the answer written into an input": f"{HEAD}    if (i < n) ((REAL*)x)[i] = {RIGHT};\n}}\n",
    "sixteen bits of each number": f"""
__device__ REAL rounded(REAL value)
{{
    unsigned bits;
    memcpy(&bits, &value, 4);
    bits &= 0xffff0000u;
    memcpy(&value, &bits, 4);
    return value;
}}
{HEAD}    if (i < n) output[i] = rounded({RIGHT});
}}
""",
    "only the size that is timed": f"{HEAD}    if (i < n && n == 1000) output[i] = {RIGHT};\n}}\n",
    "noughts for what is no number": f"""
{HEAD}    if (i >= n) return;
    const REAL value = {RIGHT};
    output[i] = value == value ? value : 0;
}}
""",
    "a constant": f"{HEAD}    if (i < n) output[i] = 0;\n}}\n",
}
BESIDE = f"""{HEAD}    if (i < n) output[i] = {RIGHT};
    if (i == 0) output[n] = 1;
}}
"""
BEYOND = f"{HEAD}    if (i < n) output[i + (1ull << 40)] = {RIGHT};\n}}\n"
ENDLESS = f"{HEAD}    while (n > 0) output[i % n] = {RIGHT};\n}}\n"
