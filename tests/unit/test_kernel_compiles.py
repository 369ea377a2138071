"""Every kernel of the catalog compiles for several generations of GPUs; none is needed here."""

from __future__ import annotations

import re
from itertools import product

import pytest

from labpool.catalog import KernelEntry
from tests.support.cuda.on_host import entries_of
from tests.support.runners import CATALOG
from worker.runner.compiling import compile_apart
from worker.runner.cuda_target import compile_options
from worker.runner.nvrtc import compile_kernel, version
from worker.runner.reasons import CompileError

ARCHITECTURES = ("sm_75", "sm_80", "sm_90")


@pytest.mark.parametrize("entry", CATALOG.kernels.values(), ids=CATALOG.kernels.keys())
def test_a_kernel_compiles_with_no_warning_and_no_spill(entry: KernelEntry) -> None:
    source = (entry.path / "kernel.cu").read_text(encoding="utf-8")
    for architecture, dtype in product(ARCHITECTURES, entry.dtypes):
        compiled = compile_apart(source, "kernel.cu", architecture, compile_options(dtype), None)
        assert compiled.log == ""
        assert compiled.cubin.startswith(b"\x7fELF")
        assert set(compiled.kernels) == set(entries_of(entry.path / "kernel.cu")) != set()
        for name, taken in compiled.kernels.items():
            assert name.encode() in compiled.cubin
            assert taken.spill_store_bytes == taken.spill_load_bytes == 0
            assert 0 < taken.registers <= 255 and taken.shared_bytes <= 48 * 1024


def test_a_mistake_is_shown_with_its_line() -> None:
    with pytest.raises(CompileError, match=r"mine\.cu\(2\): error"):
        compile_kernel('extern "C" __global__ void f() {\nint x = ;\n}', "mine.cu", "sm_80")


def test_a_warning_is_in_the_log() -> None:
    source = 'extern "C" __global__ void f() { int unused; }'
    assert "warning" in compile_kernel(source, "mine.cu", "sm_80").log


def test_the_compiler_knows_its_version() -> None:
    assert re.fullmatch(r"1[23]\.\d+", version())
