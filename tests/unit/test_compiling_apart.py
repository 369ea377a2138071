"""A compile in a process of its own: its answer, its log and what it says of mistakes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.compiles import KERNEL
from worker.runner.compiling import SOURCE_BYTES, compile_apart
from worker.runner.reasons import CompileError


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


def test_a_source_too_long_is_refused() -> None:
    with pytest.raises(CompileError, match="65536 bytes"):
        compile_apart(" " * (SOURCE_BYTES + 1), "mine.cu", "sm_80", [], None)
