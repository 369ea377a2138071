"""`labpool doctor` on GPUs, TensorFlow and pycuda, each with its remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy.diagnosis import devices
from labpool.diagnosis import Finding
from labpool.settings import CHECKOUT


class NVMLError(Exception):
    """As NVIDIA's library raises it."""


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801 - its name there
    """As NVIDIA's library raises it."""


class Nvml:
    """NVIDIA's management library with two GPUs, or without a driver."""

    NVMLError = NVMLError

    def __init__(self, failure: Exception | None = None, count: int = 2, cuda: int = 12090) -> None:
        self.failure, self.count, self.cuda = failure, count, cuda

    def nvmlInit(self) -> None:
        if self.failure is not None:
            raise self.failure

    def nvmlShutdown(self) -> None: ...

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return self.cuda

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"Card {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 * 2**30)


def test_gpus_are_named_or_their_absence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    none, pycuda = devices.check_gpus(Nvml(NVMLError_LibraryNotFound("no")))
    assert (none.state, none.says.split(".")[0]) == ("note", "none: no NVIDIA driver")
    assert pycuda.state == "note"

    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    monkeypatch.setattr(devices, "_version", lambda name, installed: None)
    monkeypatch.setattr(devices, "unshared", lambda folder: None)
    monkeypatch.setattr(devices, "version", lambda name: "12.9.86")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cards, tensorflow, pycuda = devices.check_gpus(Nvml(), tmp_path)
    assert cards == Finding("gpu", "ok", "Card 0 (24576 MiB), Card 1 (24576 MiB); driver 570.1")
    shared, *_ = devices.check_gpus(Nvml(), tmp_path, slots_per_gpu=3)
    assert shared.says.startswith("Card 0 (24576 MiB, shared by 3 slots), Card 1")
    assert (tensorflow.name, tensorflow.state) == ("tensorflow", "problem")
    assert (pycuda.name, pycuda.state) == ("pycuda", "problem")
    assert pycuda.mend.startswith("make gpu")
    assert tensorflow.mend == "make gpu"

    monkeypatch.setattr(devices, "unshared", lambda folder: f"{folder} is this container's own")
    *_, alone = devices.check_gpus(Nvml(), tmp_path)
    assert alone.state == "problem" and "container's own" in alone.says
    # As to anybody but root, who may write everywhere.
    monkeypatch.setattr("os.access", lambda path, mode: False)
    *_, nowhere = devices.check_gpus(Nvml(), tmp_path)
    assert nowhere.state == "problem" and nowhere.mend.endswith(str(tmp_path))


def test_tensorflow_is_not_loaded_to_be_named() -> None:
    program = (
        "import sys; from deploy.diagnosis.devices import check_gpus, check_tensorflow\n"
        "print(check_tensorflow().says); check_gpus()\n"
        "sys.exit(' '.join({'tensorflow', 'keras', 'pycuda'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensorflow 2.")
