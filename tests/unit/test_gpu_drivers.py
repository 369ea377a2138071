"""What `labpool doctor` says of NVIDIA's driver: each state by itself, with what mends it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from deploy.diagnosis import devices, drivers
from deploy.gpu_choice import Cuda
from tests.support.fake_nvml import FakeNvml, NVMLError
from worker.devices import Gpu

GPUS = (Gpu("GPU-aa", "One", None), Gpu("GPU-bb", "Two", None))


def refusal(name: str) -> Exception:
    error: Exception = type(f"NVMLError_{name}", (NVMLError,), {})("no")
    return error


@pytest.fixture
def pci(tmp_path: Path) -> Path:
    """A machine with an NVIDIA GPU and what else machines have."""
    for slot, vendor, kind in (
        ("00:02.0", "0x8086", "0x030000"),
        ("17:00.0", "0x10de", "0x030200"),
        ("18:00.0", "0x10de", "0x040300"),
    ):
        folder = tmp_path / slot
        folder.mkdir()
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    (tmp_path / "broken").mkdir()
    return tmp_path


def of_version(said: str | None) -> Any:
    def installed(name: str) -> str:
        if said is None:
            raise PackageNotFoundError(name)
        return said

    return installed


def test_it_works_and_a_fit_machine_has_no_finding() -> None:
    assert drivers.check_serves((12, 9), "575.51", of_version("12.9.86")) == []
    assert drivers.check_serves((13, 0), "580.65", of_version("12.9.86")) == []
    assert drivers.check_visible(GPUS, {}) == []


def test_only_a_card_of_nvidia_counts(pci: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert drivers.has_nvidia_card(pci)
    (pci / "17:00.0" / "class").write_text("0x028000\n")
    assert not drivers.has_nvidia_card(pci), "a network card and a sound chip are no GPU"
    assert not drivers.has_nvidia_card(tmp_path_factory.mktemp("none") / "away")


@pytest.mark.parametrize(
    ("error", "has_card", "is_loaded", "state", "mend"),
    [
        ("LibraryNotFound", False, False, "note", ""),
        ("LibraryNotFound", True, False, "problem", "apt install nvidia-driver"),
        ("LibraryNotFound", True, True, "problem", "docker run --gpus all"),
        ("DriverNotLoaded", True, False, "problem", "modprobe nvidia"),
        ("DriverNotLoaded", False, False, "note", "nvidia-smi"),
        ("LibRmVersionMismatch", True, True, "problem", "reboot"),
        ("Unknown", True, True, "problem", "nvidia-smi"),
    ],
)
def test_no_driver(
    pci: Path, tmp_path: Path, error: str, has_card: bool, is_loaded: bool, state: str, mend: str
) -> None:
    loaded = tmp_path / "version"
    if is_loaded:
        loaded.write_text("NVRM version: 570")
    here = pci if has_card else tmp_path / "away"
    said = drivers.why_none(refusal(error), here, loaded)
    assert said.state == state and mend in said.mend
    assert (mend == "") == (said.mend == "")


@pytest.mark.parametrize(
    ("serves", "compiler", "name", "words", "mend"),
    [
        ((11, 4), "12.9.86", "driver", "too old: it serves CUDA 11.4", "nvidia-driver"),
        ((12, 4), None, "driver", "begin with 12.5", "nvidia-driver"),
        ((12, 6), "12.9.86", "toolkit", "of CUDA 12.9 and driver 1 serves only 12.6", "make gpu"),
        ((12, 9), "13.0.48", "toolkit", "of CUDA 13.0", "make gpu"),
        ((12, 9), None, "toolkit", "NVRTC", "make gpu"),
    ],
)
def test_an_old_driver_and_one_older_than_the_toolkit(
    serves: Cuda, compiler: str | None, name: str, words: str, mend: str
) -> None:
    [said] = drivers.check_serves(serves, "1", of_version(compiler))
    assert (said.name, said.state) == (name, "problem")
    assert words in said.says and mend in said.mend


def test_a_driver_that_does_not_tell_is_not_judged() -> None:
    assert drivers.check_serves(None, "1", of_version(None)) == []
    assert drivers.cuda_served(FakeNvml([])) is None


def test_the_version_is_read_from_its_number() -> None:
    class Telling(FakeNvml):
        def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
            return 12080

    assert drivers.cuda_served(Telling([])) == (12, 8)


@pytest.mark.parametrize(
    ("visible", "hidden"),
    [("", True), ("-1", True), ("7", True), ("GPU-cc", True), ("5,0", True),
     ("0", False), ("1,0", False), ("GPU-b", False), ("MIG-1234", False)],
)  # fmt: skip
def test_no_gpu_visible(visible: str, hidden: bool) -> None:
    found = drivers.check_visible(GPUS, {"CUDA_VISIBLE_DEVICES": visible})
    assert [said.mend for said in found] == ["unset CUDA_VISIBLE_DEVICES"] * hidden


def test_no_gpu_shown(pci: Path, tmp_path: Path) -> None:
    lost, none = drivers.none_shown("570.1", pci), drivers.none_shown("570.1", tmp_path / "away")
    assert (lost.state, none.state) == ("problem", "note")
    assert lost.mend.startswith("nvidia-smi -L") and "570.1" in none.says


def test_the_doctor_asks_all_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Old(FakeNvml):
        def nvmlSystemGetDriverVersion(self) -> bytes:
            return b"470.1"

        def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
            return 11040

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    monkeypatch.setattr(devices, "_version", lambda name, installed: None)
    monkeypatch.setattr(devices, "unshared", lambda folder: None)
    found = devices.check_gpus(Old([{"uuid": "GPU-aa"}]), tmp_path)
    said = [(one.name, one.state) for one in found]
    assert said == [
        ("gpu", "ok"), ("gpu", "problem"), ("driver", "problem"), ("tensorflow", "problem"),
        ("pycuda", "problem"),
    ]  # fmt: skip
    assert found[3].mend == "make gpu" and found[4].mend.startswith("make gpu")
