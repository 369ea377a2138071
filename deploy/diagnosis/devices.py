"""TensorFlow, the GPUs and pycuda, looked at without loading TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deploy.diagnosis import drivers
from labpool.diagnosis import Finding, note, ok, problem
from labpool.settings import GPU_LOCKS
from worker.devices import Gpu, shares_of
from worker.gpu_lock import unshared

TENSORFLOW, GPU, PYCUDA = "tensorflow", "gpu", "pycuda"
TENSORFLOW_NAMES = ("tensorflow", "tensorflow-cpu")
# What `tensorflow[and-cuda]` brings and plain tensorflow does not.
CUDA_PACKAGE = "nvidia-cudnn-cu12"
IMPORT_TIMEOUT_S = 60.0
MEBIBYTE = 1024 * 1024


def check_tensorflow(installed: Callable[[str], str] = version) -> Finding:
    """Which TensorFlow is installed, by its metadata."""
    for name in TENSORFLOW_NAMES:
        found = _version(name, installed)
        if found is not None:
            keras = _version("keras", installed) or "no Keras"
            return ok(TENSORFLOW, f"{name} {found}, Keras {keras}")
    says = "It is not installed: this machine can run benchmarks, but train nothing."
    return problem(TENSORFLOW, says, "make setup")


def check_gpus(
    library: Any = None, locks: Path | None = None, slots_per_gpu: int = 1
) -> list[Finding]:
    """The GPUs that NVIDIA's management library sees, and what they need to be of use.

    ``locks`` is the folder of their locks, the host's usual one when None; ``slots_per_gpu`` slots
    are to share each.
    """
    library = library or _nvml()
    if library is None:
        mend = "make setup"
        return [problem(GPU, "nvidia-ml-py is not installed, so GPUs cannot be found.", mend)]
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        return [drivers.why_none(error), _check_pycuda(has_gpu=False)]
    try:
        names = [
            _described(library, index, slots_per_gpu)
            for index in range(library.nvmlDeviceGetCount())
        ]
        driver = _text(library.nvmlSystemGetDriverVersion())
        serves = drivers.cuda_served(library)
        gpus = [_gpu(library, index) for index in range(len(names))]
    except library.NVMLError as error:
        mend = "nvidia-smi        (says more; a restart of the machine often helps)"
        return [problem(GPU, f"The driver does not answer: {error}.", mend)]
    finally:
        library.nvmlShutdown()
    if not names:
        return [drivers.none_shown(driver), _check_pycuda(has_gpu=False)]
    findings = [ok(GPU, f"{', '.join(names)}; driver {driver}")]
    findings += drivers.check_visible(gpus, os.environ)
    findings += drivers.check_serves(serves, driver, version)
    if _version(CUDA_PACKAGE, version) is None:
        says = "TensorFlow has no CUDA libraries here, so training would not use the GPU."
        findings.append(problem(TENSORFLOW, says, drivers.MAKE_GPU))
    return [*findings, _check_pycuda(has_gpu=True), *_check_locks(locks or GPU_LOCKS)]


def _check_locks(folder: Path) -> list[Finding]:
    place = folder if folder.exists() else folder.parent
    if not os.access(place, os.W_OK | os.X_OK):
        says = f"Another labpool may use a GPU at the same time: no lock can be made in {folder}."
        return [problem(GPU, says, f"sudo install -d -m 1777 {folder}")]
    trouble = unshared(place)
    if trouble is None:
        return []
    says = f"Another labpool may use a GPU at the same time: {trouble}."
    return [problem(GPU, says, f"docker run --volume {folder.parent}:{folder.parent} …")]


def _check_pycuda(has_gpu: bool) -> Finding:
    if find_spec("pycuda") is None:
        if not has_gpu:
            return note(PYCUDA, "not installed; without a GPU nothing needs it")
        says = "It is not installed: CUDA benchmarks cannot run on this machine's GPUs."
        return problem(PYCUDA, says, f"{drivers.MAKE_GPU}        (builds it, which needs g++)")
    # In a process of its own: it must not share one with TensorFlow, nor end this one.
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import pycuda.driver"],
            capture_output=True,
            text=True,
            timeout=IMPORT_TIMEOUT_S,
            check=False,
        )
        reason = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        reason = [f"no end after {IMPORT_TIMEOUT_S:g} s"]
    if not reason:
        return ok(PYCUDA, f"pycuda {_version('pycuda', version)}")
    says = f"It is installed and cannot be imported: {reason[0]}"
    if not has_gpu:
        return note(PYCUDA, f"{says}. Without a GPU nothing needs it.")
    return problem(PYCUDA, says, f"nvidia-smi        (is the driver well?)\n{drivers.MAKE_GPU}")


def _described(library: Any, index: int, slots_per_gpu: int) -> str:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    name = library.nvmlDeviceGetName(handle)
    memory_mb = library.nvmlDeviceGetMemoryInfo(handle).total // MEBIBYTE
    shares = shares_of(memory_mb, slots_per_gpu)
    shared = f", shared by {shares} slots" if shares > 1 else ""
    return f"{name} ({memory_mb} MiB{shared})"


def _gpu(library: Any, index: int) -> Gpu:
    handle = library.nvmlDeviceGetHandleByIndex(index)
    name, uuid = library.nvmlDeviceGetName(handle), library.nvmlDeviceGetUUID(handle)
    return Gpu(_text(uuid), _text(name), None)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _nvml() -> Any:
    return import_module("pynvml") if find_spec("pynvml") is not None else None


def _version(name: str, installed: Callable[[str], str]) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None
