"""Catalog code is loaded from the source that its digest covers, and from nothing else."""

from __future__ import annotations

import compileall
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from labpool.catalog import digest_of
from labpool.errors import LabpoolError
from labpool.sdk import Unsuitable
from worker.protocol import CodeReference
from worker.runner import loading
from worker.runner.reasons import (
    DigestMismatch,
    Diverged,
    EntryBroken,
    GpuTrouble,
    NotPrepared,
    WrongResult,
    classify,
)


@pytest.fixture
def entry(tmp_path: Path) -> CodeReference:
    folder = tmp_path / "twice"
    folder.mkdir()
    (folder / "model.toml").write_text("title = 'Twice'")
    (folder / "model.py").write_text("def build():\n    return 'first'\n")
    return CodeReference(name="twice", path=str(folder), digest=digest_of(folder))


def test_code_is_loaded_after_its_digest_was_checked(entry: CodeReference) -> None:
    folder = loading.verify(entry)
    assert loading.load(entry, folder / "model.py", "build").build() == "first"


def test_a_changed_file_is_refused_with_both_digests(entry: CodeReference) -> None:
    file = Path(entry.path) / "model.py"
    file.write_text(file.read_text().replace("first", "other"))
    with pytest.raises(DigestMismatch) as caught:
        loading.verify(entry)
    assert entry.digest in str(caught.value) and digest_of(Path(entry.path)) in str(caught.value)


def test_a_missing_entry_is_named(entry: CodeReference) -> None:
    elsewhere = entry.model_copy(update={"path": "/nowhere/at/all"})
    with pytest.raises(EntryBroken, match="/nowhere/at/all"):
        loading.verify(elsewhere)


def test_forged_byte_code_is_not_used(entry: CodeReference) -> None:
    file = Path(entry.path) / "model.py"
    source, seen = file.read_text(), file.stat()
    # Byte code of another source, whose file had the same size and time: Python would take it.
    file.write_text(source.replace("first", "forge"))
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert compileall.compile_file(file, quiet=1)
    file.write_text(source)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert digest_of(Path(entry.path)) == entry.digest
    assert loading.load(entry, file, "build").build() == "first"


def test_a_module_leaves_nothing_behind(entry: CodeReference) -> None:
    before = set(sys.modules)
    loading.load(entry, Path(entry.path) / "model.py", "build")
    assert {name for name in set(sys.modules) - before if "catalog" in name} == set()
    assert not (Path(entry.path) / "__pycache__").exists()


def test_a_missing_function_is_named(entry: CodeReference) -> None:
    with pytest.raises(EntryBroken, match="has no function load"):
        loading.load(entry, Path(entry.path) / "model.py", "load")


def test_a_broken_toml_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.toml"
    file.write_text("title = ")
    with pytest.raises(EntryBroken, match=r"model\.toml"):
        loading.read_toml(file)


def named(name: str, module: str, *bases: type[BaseException]) -> type[BaseException]:
    return type(name, bases or (Exception,), {"__module__": module})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unsuitable("five of six"), "user_error"),
        (WrongResult("one"), "user_error"),
        (Diverged("NaN"), "diverged"),
        (GpuTrouble("gone"), "gpu_fault"),
        (NotPrepared("no NVRTC"), "not_prepared"),
        (MemoryError(), "out_of_memory"),
        (np.linalg.LinAlgError("singular"), "internal"),
        (LabpoolError("something"), "internal"),
        (ValueError("a\x00b\ud800"), "internal"),
        (
            named("ResourceExhaustedError", "tensorflow.python.framework.errors_impl")("OOM"),
            "out_of_memory",
        ),
        (
            named("InternalError", "tensorflow.python.framework.errors_impl")("CUDA_ERROR"),
            "gpu_fault",
        ),
        (named("InternalError", "tensorflow.python.framework.errors_impl")("odd"), "internal"),
        (named("MemoryError", "pycuda._driver")("cuMemAlloc failed"), "out_of_memory"),
        (named("LaunchError", "pycuda._driver")("illegal address"), "gpu_fault"),
    ],
)
def test_reasons_are_told_apart(error: BaseException, kind: str) -> None:
    found, reason = classify(error)
    assert found == kind
    assert reason and "\x00" not in reason
    reason.encode()
