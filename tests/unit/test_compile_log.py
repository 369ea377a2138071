"""What of the compiler's log is shown, and what is read from it."""

from __future__ import annotations

import pytest

from tests.support.compiles import KERNEL
from worker.runner.compile_log import LOG_BYTES, MOST_ENTRIES, Resources, filtered, resources
from worker.runner.compiling import compile_apart
from worker.runner.reasons import CompileError

LOG = """mine.cu(3): error: could not open source file "/home/someone/a.h"
  #include "b.h" // a/b
                 ^

/home/someone/other.cu(1): error: hidden
  hidden too
ptxas application ptx input, line 9; error   : Unknown symbol 'q' in /tmp/x
ptxas info    : Compiling entry function 'f' for 'sm_80'
 ptxas error   : Entry function 'f' uses too much shared data (0x9 bytes, 0x8 max)
1 error detected in the compilation of "mine.cu".
"""
CALLING = """__noinline__ __device__ float helper(float *x, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i * n];
    return sum;
}
extern "C" __global__ void calls(float *x, int n) { x[0] = helper(x, n); }
extern "C" __global__ void __launch_bounds__(1024, 2) spills(float *x) {
    float kept[60];
#pragma unroll
    for (int i = 0; i < 60; i++) kept[i] = x[i];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 60; i++) x[i] = kept[59 - i] * kept[(i * 7) % 60];
}
"""


def test_it_works() -> None:
    assert filtered(LOG, "mine.cu").splitlines() == [
        'mine.cu(3): error: could not open source file "[path]"',
        '  #include "b.h" // a/b',
        "                 ^",
        "ptxas application ptx input, line 9; error   : Unknown symbol 'q' in [path]",
        "ptxas error   : Entry function 'f' uses too much shared data (0x9 bytes, 0x8 max)",
    ]


def test_a_long_log_is_cut_between_characters() -> None:
    shown = filtered("mine.cu(1): warning: é" + "é" * LOG_BYTES, "mine.cu")
    assert LOG_BYTES - 2 <= len(shown.encode()) <= LOG_BYTES


def test_nothing_that_steers_a_terminal_is_shown() -> None:
    shown = filtered("mine.cu(1): error: a\n  \x1b[2J\x00\u202e\ud800 b", "mine.cu")
    assert shown == "mine.cu(1): error: a\n  \ufffd[2J\ufffd\ufffd\ufffd b"


def test_each_entry_is_told_apart() -> None:
    kernels = compile_apart(CALLING + KERNEL, "mine.cu", "sm_80", [], None).kernels
    assert set(kernels) == {"calls", "spills", "f"}
    assert kernels["spills"].spill_store_bytes > 0 < kernels["spills"].spill_load_bytes
    assert kernels["spills"].stack_bytes > 0 == kernels["spills"].shared_bytes
    assert kernels["f"].shared_bytes == 128
    assert kernels["f"].spill_store_bytes == kernels["calls"].spill_load_bytes == 0


def test_source_lines_within_the_log_report_nothing() -> None:
    true = (
        "ptxas info    : Compiling entry function 'f' for 'sm_80'\n"
        "ptxas info    : Function properties for f\n"
        "ptxas         .     8 bytes stack frame, 4 bytes spill stores, 2 bytes spill loads\n"
        "ptxas info    : Used 21 registers, used 1 barriers, 128 bytes smem, 360 bytes cmem[0]\n"
    )
    lie = "".join(
        f"  {line}\n"
        for line in true.replace("'f'", "'lie'").replace("for f", "for lie").splitlines()
    )
    assert resources(lie) == {}
    assert resources(lie + true) == {"f": Resources(21, 128, 8, 4, 2)}


def test_a_source_without_a_kernel_has_none_to_report() -> None:
    source = "__device__ int unlaunched() { return 1; }"
    assert compile_apart(source, "mine.cu", "sm_80", [], None).kernels == {}


def test_too_many_kernels_are_refused() -> None:
    many = "".join(
        f'extern "C" __global__ void k{i}(int *x) {{ *x = {i}; }}\n'
        for i in range(MOST_ENTRIES + 1)
    )
    with pytest.raises(CompileError, match="33 kernels; at most 32"):
        compile_apart(many, "mine.cu", "sm_80", [], None)


def test_a_name_too_long_is_refused() -> None:
    with pytest.raises(CompileError, match="over 255 characters"):
        resources(f"ptxas info    : Compiling entry function '{'k' * 256}' for 'sm_80'\n")
