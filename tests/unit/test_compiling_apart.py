"""A compile in a process of its own: its answer, its log and what it says of mistakes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.compiles import KERNEL
from worker.runner.compiling import SOURCE_BYTES, compile_apart
from worker.runner.reasons import CompileError, NotPrepared


def test_it_works(tmp_path: Path) -> None:
    compiled = compile_apart(KERNEL, "mine.cu", "sm_80", ["-DREAL=float"], tmp_path)
    assert compiled.cubin.startswith(b"\x7fELF")
    assert compiled.kernels["f"].shared_bytes == 128
    assert 0 < compiled.kernels["f"].registers < 64
    assert re.fullmatch(r"NVRTC 1[23]\.\d+", compiled.compiler)
    assert not compiled.cached and compiled.seconds > 0
    described = json.loads(json.dumps(compiled.describe()))
    assert described["options"] == ["-DREAL=float"]
    assert described["kernels"]["f"]["spill_store_bytes"] == 0
    assert set(described) == {
        *("architecture", "options", "compiler", "cached", "seconds", "log", "kernels")
    }
    again = compile_apart(KERNEL, "mine.cu", "sm_80", ["-DREAL=float"], tmp_path)
    assert again == replace(compiled, cached=True, seconds=0.0)


def test_a_mistake_is_shown_with_its_line() -> None:
    with pytest.raises(CompileError, match=r"mine\.cu\(1\): error") as caught:
        compile_apart("int x = ;", "mine.cu", "sm_80", [], None)
    assert "  int x = ;\n          ^" in str(caught.value)


def test_a_warning_is_in_the_log() -> None:
    source = 'extern "C" __global__ void f() { int unused; }'
    compiled = compile_apart(source, "mine.cu", "sm_80", [], None)
    assert "mine.cu(1): warning" in compiled.log


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (" " * (SOURCE_BYTES + 1), "65537 bytes; at most 65536"),
        ("é" * (SOURCE_BYTES // 2 + 1), "65538 bytes; at most 65536"),
        ("int x;\0", "NUL character"),
        ("// \ud800", "half a character"),
    ],
)
def test_what_is_no_source_is_refused(source: str, told: str) -> None:
    with pytest.raises(CompileError, match=f"source: .*{told}"):
        compile_apart(source, "mine.cu", "sm_80", [], None)


def test_an_architecture_that_nvrtc_does_not_know_is_named() -> None:
    with pytest.raises(NotPrepared, match="does not take sm_9999"):
        compile_apart(KERNEL, "mine.cu", "sm_9999", [], None)


def test_words_of_the_user_are_no_limit() -> None:
    source = "int x = ; // a(1): catastrophic error: out of memory, std::bad_alloc\n"
    with pytest.raises(CompileError, match=r"mine\.cu\(1\): error"):
        compile_apart(source, "mine.cu", "sm_80", [], None)


def test_an_error_of_the_assembler_is_shown() -> None:
    source = 'extern "C" __global__ void f() { asm("nonsense %%r1;"); }'
    with pytest.raises(CompileError, match=r"ptxas application ptx input, line .*syntax error"):
        compile_apart(source, "mine.cu", "sm_80", [], None)
