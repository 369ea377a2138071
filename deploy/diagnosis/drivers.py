"""NVIDIA's driver: whether there is one, whether it shows a GPU, and what CUDA it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from deploy.gpu_choice import COMPILER, DRIVER_COMMAND, Cuda, compilers, parse_cuda, text_of
from labpool.diagnosis import Finding, note, problem
from worker.devices import Gpu, visible_gpus

DRIVER, GPU, TOOLKIT = "driver", "gpu", "toolkit"
VISIBLE = "CUDA_VISIBLE_DEVICES"
MAKE_GPU = "make gpu"
PCI = Path("/sys/bus/pci/devices")
LOADED = Path("/proc/driver/nvidia/version")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_CONTAINER = "docker run --gpus all …        (in a container; else install the driver again)"


def why_none(error: Exception, pci: Path = PCI, loaded: Path = LOADED) -> Finding:
    """What the management library's refusal to start comes from; the CPU serves meanwhile."""
    kind = type(error).__name__
    if kind == "NVMLError_LibRmVersionMismatch":
        says = "The driver was updated and the old one is still loaded: no GPU can be used."
        return problem(DRIVER, says, "sudo reboot")
    if kind == "NVMLError_LibraryNotFound" and loaded.exists():
        says = "The host's NVIDIA driver is loaded and its libraries are not here."
        return problem(DRIVER, says, _CONTAINER)
    if kind in ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"):
        if not has_nvidia_card(pci):
            mend = "" if kind == "NVMLError_LibraryNotFound" else "nvidia-smi"
            return note(GPU, "none: no NVIDIA driver. Trials run on the CPU.", mend)
        if kind == "NVMLError_LibraryNotFound":
            says = "There is an NVIDIA GPU in this machine and no driver for it."
            return problem(DRIVER, says, DRIVER_COMMAND)
        says = "There is an NVIDIA GPU in this machine and its driver is not loaded."
        return problem(DRIVER, says, "sudo modprobe nvidia")
    return problem(DRIVER, f"The driver does not start: {error}.", "nvidia-smi        (says more)")


def none_shown(driver: str, pci: Path = PCI) -> Finding:
    """A driver that runs and shows no GPU."""
    if has_nvidia_card(pci):
        says = f"Driver {driver} shows none of this machine's GPUs: it lost them, or hides them."
        return problem(GPU, says, "nvidia-smi -L        (then: sudo dmesg | grep -i nvrm)")
    return note(GPU, f"none; driver {driver} sees no device", "nvidia-smi -L")


def check_visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> list[Finding]:
    """Whether CUDA_VISIBLE_DEVICES leaves a GPU of those that the driver shows."""
    said = environment.get(VISIBLE)
    # What a part of a divided GPU is called, the list of whole ones does not tell.
    if said is None or "MIG-" in said or visible_gpus(gpus, said):
        return []
    says = f"{VISIBLE} is {said!r}, which hides every GPU: a worker started here uses none."
    return [problem(GPU, says, f"unset {VISIBLE}")]


def check_serves(
    serves: Cuda | None, driver: str, installed: Callable[[str], str]
) -> list[Finding]:
    """Whether the driver is new enough for the CUDA libraries and for the kernel compiler."""
    if serves is None:
        return []
    oldest = min(compilers())
    if serves < oldest:
        says = (
            f"Driver {driver} is too old: it serves CUDA {text_of(serves)}, and TensorFlow's CUDA "
            f"libraries begin with {text_of(oldest)}."
        )
        return [problem(DRIVER, says, DRIVER_COMMAND)]
    try:
        compiler = parse_cuda(installed(COMPILER))
    except PackageNotFoundError:
        says = "NVRTC, which compiles the kernels of benchmarks, is not installed."
        return [problem(TOOLKIT, says, MAKE_GPU)]
    if compiler > serves:
        says = (
            f"The kernel compiler is of CUDA {text_of(compiler)} and driver {driver} serves only "
            f"{text_of(serves)}: kernels may not load."
        )
        return [problem(TOOLKIT, says, f"{MAKE_GPU}        (takes an older compiler)")]
    return []


def cuda_served(library: Any) -> Cuda | None:
    """The newest CUDA that the driver serves; None where the library does not tell."""
    try:
        number = int(library.nvmlSystemGetCudaDriverVersion_v2())
    except (library.NVMLError, AttributeError):
        return None
    return number // 1000, number % 1000 // 10


def has_nvidia_card(pci: Path = PCI) -> bool:
    """Whether the machine has an NVIDIA display or compute card, with a driver or without."""
    for device in pci.glob("*"):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if vendor == _NVIDIA and kind.startswith(_DISPLAY):
            return True
    return False
