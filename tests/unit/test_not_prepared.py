"""What a machine lacks for GPU benchmarks is told with its command, and is no fault of its GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.own_kernels import SAXPY
from worker.runner import nvrtc, own_process, pycuda_device
from worker.runner.compiling import compile_apart
from worker.runner.own_process import OwnProcess
from worker.runner.reasons import GpuTrouble, NotPrepared, classify

NO_LIBRARY = "libcuda.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture
def no_pycuda_loaded() -> Iterator[None]:
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("pycuda")}
    yield
    for name in [name for name in sys.modules if name.startswith("pycuda")]:
        del sys.modules[name]
    sys.modules.update(held)


def pycuda_that(folder: Path, raises: str) -> None:
    package = folder / "pycuda"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "driver.py").write_text(f"raise {raises}\n")


@pytest.mark.parametrize(
    ("raises", "says"),
    [
        (f"ImportError({NO_LIBRARY!r}, name='pycuda._driver')", "sudo apt install nvidia-driver"),
        (
            "ModuleNotFoundError('no', name='pycuda._driver')",
            "pycuda is not installed here: make gpu",
        ),
        (
            "ImportError('undefined symbol: cuFoo', name='pycuda._driver')",
            "make gpu builds it anew",
        ),
    ],
)
@pytest.mark.usefixtures("no_pycuda_loaded")
def test_it_works(raises: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pycuda_that(tmp_path, raises)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotPrepared, match=says) as told:
        pycuda_device.driver()
    assert classify(told.value)[0] == "not_prepared"


@pytest.mark.usefixtures("no_pycuda_loaded")
def test_a_driver_that_does_not_start_is_the_gpus_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pycuda_that(tmp_path, "RuntimeError")
    text = "class Error(Exception): pass\ndef init(): raise Error('cuInit failed: no device')\n"
    (tmp_path / "pycuda" / "driver.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GpuTrouble, match="no device"):
        pycuda_device.driver()


def test_without_nvrtc_nothing_compiles_and_the_command_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvrtc._library.cache_clear()
    monkeypatch.setattr(nvrtc, "_candidates", lambda: iter(()))
    try:
        with pytest.raises(NotPrepared, match=r"nvidia-cuda-nvrtc-cu12.* make gpu") as told:
            compile_apart(SAXPY, "mine.cu", "sm_90", ["-DREAL=float"], None)
    finally:
        nvrtc._library.cache_clear()
    assert classify(told.value)[0] == "not_prepared"


def test_a_users_process_tells_it_too() -> None:
    make = "from tests.support.cuda.own_fake import unprepared as make"
    with OwnProcess(make) as process, pytest.raises(NotPrepared, match="pycuda is not installed"):
        process.hello()
    assert own_process.ON_GPU.endswith("import PycudaDevice as make")
