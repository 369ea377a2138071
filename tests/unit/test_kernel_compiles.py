"""Every kernel of the catalog compiles for several generations of GPUs; none is needed here."""

from __future__ import annotations

import re
from itertools import product

import pytest

from labpool.catalog import KernelEntry
from tests.support.cuda.on_host import entries_of
from tests.support.runners import CATALOG
from worker.runner.cuda_target import compile_options
from worker.runner.nvrtc import compile_kernel, version
from worker.runner.reasons import CompileError

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")
VERBOSE = "--ptxas-options=--verbose"


@pytest.mark.parametrize("entry", CATALOG.kernels.values(), ids=CATALOG.kernels.keys())
def test_a_kernel_compiles_with_no_warning_and_no_spill(entry: KernelEntry) -> None:
    source = (entry.path / "kernel.cu").read_text(encoding="utf-8")
    for architecture, dtype in product(ARCHITECTURES, entry.dtypes):
        compiled = compile_kernel(
            source, "kernel.cu", architecture, [*compile_options(dtype), VERBOSE]
        )
        assert "warning" not in compiled.log
        assert compiled.cubin.startswith(b"\x7fELF")
        entries = entries_of(entry.path / "kernel.cu")
        for name in entries:
            assert f"Compiling entry function '{name}'" in compiled.log
            assert name.encode() in compiled.cubin
        unspilt = r"\b0 bytes spill stores, 0 bytes spill loads"
        assert len(re.findall(unspilt, compiled.log)) == len(entries) > 0


def test_a_mistake_is_shown_with_its_line() -> None:
    with pytest.raises(CompileError, match=r"mine\.cu\(2\): error"):
        compile_kernel('extern "C" __global__ void f() {\nint x = ;\n}', "mine.cu", "sm_80")


def test_a_warning_is_in_the_log() -> None:
    source = 'extern "C" __global__ void f() { int unused; }'
    assert "warning" in compile_kernel(source, "mine.cu", "sm_80").log


def test_the_compiler_knows_its_version() -> None:
    assert re.fullmatch(r"1[23]\.\d+", version())
