"""A compile in a process of its own: limits, includes, log and resources, for real."""

from __future__ import annotations

import time

import pytest

from worker.runner.compiling import compile_apart
from worker.runner.reasons import CompileError

KERNEL = """extern "C" __global__ void f(float *x) {
    __shared__ float s[32];
    s[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[0] = s[31 - threadIdx.x];
}
"""
BOMB = """template<int N, long M> struct B { B<N-1,2*M> a; B<N-1,2*M+1> b; };
template<long M> struct B<0,M> {};
B<24,0> x;
"""
LEAKS = (
    '#include "/etc/passwd"',
    '#inc\\\nlude "/etc/passwd"',
    '%:include "/etc/passwd"',
    '??=include "/etc/passwd"',
    '#/**/include "/etc/passwd"',
    '#define F "/etc/passwd"\n#include F',
    '#embed "/etc/passwd"',
    '#if __has_include("/etc/passwd")\n#endif',
    '#define H(x) __has##_include(x)\n#if H("/etc/passwd")\n#endif',
    '#define H(x) __has%:%:_include(x)\n#if H("/etc/passwd")\n#endif',
    'auto r = R"(/*)";\n#include "/etc/passwd"\n',
)


def test_resources_are_told() -> None:
    compiled = compile_apart(KERNEL, "mine.cu", "sm_80", [])
    assert compiled.cubin.startswith(b"\x7fELF")
    assert compiled.kernels["f"].shared_bytes == 128
    assert compiled.kernels["f"].registers > 0


@pytest.mark.parametrize("leak", LEAKS)
def test_a_file_of_the_machine_is_not_read(leak: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_apart(leak + "\n" + KERNEL, "mine.cu", "sm_80", [])
    assert "root:" not in str(caught.value)
    assert "source: " in str(caught.value)


def test_a_mistake_is_shown_with_its_line() -> None:
    with pytest.raises(CompileError, match=r"mine\.cu\(1\): error"):
        compile_apart("int x = ;", "mine.cu", "sm_80", [])


def test_a_template_bomb_ends_at_the_memory_limit() -> None:
    begun = time.monotonic()
    with pytest.raises(CompileError, match="out of memory"):
        compile_apart(BOMB + KERNEL, "mine.cu", "sm_80", [])
    assert time.monotonic() - begun < 45
