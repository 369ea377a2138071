"""Which slots this host has: GPUs or their shares, or those of the processor without a GPU.

Nothing here imports TensorFlow or pycuda: whether they can be had is asked of the import system.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from labpool.shares import share_name

MEBIBYTE = 1024 * 1024
MOST_CPU_SLOTS = 2
# A process's CUDA context and its libraries' own memory, which TensorFlow does not count.
CONTEXT_MB = 600
# With less there is no room for a network worth a GPU.
LEAST_SHARE_MB = 1024


@dataclass(frozen=True, slots=True)
class Device:
    """What one slot runs on. ``kinds`` are the kinds of trial it can serve.

    With ``shares`` above 1 it is one of so many parts of a GPU, ``share`` counted from 1, and
    ``memory_mb`` is what its runner's tensors may take, in MiB.
    """

    kind: Literal["cpu", "gpu"]
    name: str
    threads: int
    kinds: tuple[str, ...]
    gpu_uuid: str | None = None
    memory_mb: int | None = None
    share: int = 1
    shares: int = 1

    @property
    def is_share(self) -> bool:
        """Whether other slots may be at work on the same GPU."""
        return self.shares > 1

    @property
    def label(self) -> str:
        """Its name with its share, for people."""
        return share_name(self.name, self.share, self.shares)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or an instance of a divided one, as NVML names it."""

    uuid: str
    name: str
    memory_mb: int | None


class GpuSource(Protocol):
    """Whoever can list the host's GPUs."""

    def gpus(self) -> Sequence[Gpu]:
        """The GPUs in the order of their PCI addresses; none where there is no driver."""
        ...


class Nvml:
    """The GPUs that NVIDIA's management library sees."""

    def __init__(self, library: Any = None) -> None:
        self._library: Any = library if library is not None else import_nvml()

    def gpus(self) -> Sequence[Gpu]:
        library = self._library
        if library is None:
            return ()
        try:
            with _initialised(library):
                count = library.nvmlDeviceGetCount()
                handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
                return tuple(gpu for handle in handles for gpu in self._instances(handle))
        except library.NVMLError:
            return ()

    def _instances(self, handle: Any) -> Iterator[Gpu]:
        """The GPU itself, or what it is divided into."""
        library = self._library
        if not self._is_divided(handle):
            yield self._describe(handle)
            return
        for index in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
            try:
                part = library.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            except library.NVMLError:
                continue
            yield self._describe(part)

    def _is_divided(self, handle: Any) -> bool:
        try:
            current, _ = self._library.nvmlDeviceGetMigMode(handle)
        except self._library.NVMLError:
            return False
        return bool(current)

    def _describe(self, handle: Any) -> Gpu:
        library = self._library
        try:
            memory_mb: int | None = library.nvmlDeviceGetMemoryInfo(handle).total // MEBIBYTE
        except library.NVMLError:
            memory_mb = None
        return Gpu(
            _text(library.nvmlDeviceGetUUID(handle)),
            _text(library.nvmlDeviceGetName(handle)),
            memory_mb,
        )


def host_devices(
    slots: int | Literal["auto"] = "auto",
    threads_per_slot: int | None = None,
    gpus: GpuSource | None = None,
    visible: str | None = None,
    cores: int | None = None,
    has_module: Callable[[str], bool] | None = None,
    slots_per_gpu: int = 1,
) -> tuple[Device, ...]:
    """The device of every slot of this host.

    ``auto`` is each GPU's slots and none on the processor, or, without a GPU, up to two on the
    processor. A number asks for that many: GPUs first, each one's first share before any second,
    the rest on the processor. ``visible`` is the worker's own CUDA_VISIBLE_DEVICES: a worker under
    a batch system must keep to its part. ``slots_per_gpu`` share a GPU where `shares_of` can.
    """
    has_module = has_module or _is_installed
    cores = cores or usable_cores()
    found = visible_gpus((gpus or Nvml()).gpus(), visible)
    training = ("train",) if has_module("tensorflow") else ()
    kernels = ("benchmark",) if has_module("pycuda") else ()
    # Shares only train.
    parts = _parts(found, slots_per_gpu if training else 1)
    if slots == "auto":
        on_cpu = 0 if found else min(MOST_CPU_SLOTS, cores)
    else:
        parts = parts[:slots]
        on_cpu = slots - len(parts)
    threads = threads_per_slot or max(1, cores // max(1, len(parts) + on_cpu))
    name = processor_name()
    return (
        *(_on_gpu(part, threads, training, kernels) for part in parts),
        *(Device("cpu", name, threads, (*training, "benchmark")) for _ in range(on_cpu)),
    )


def shares_of(memory_mb: int | None, wanted: int) -> int:
    """Into how many of the ``wanted`` shares a GPU can be divided; 1 is the whole.

    One whose memory nobody tells stays whole: no share could be held to its part.
    """
    if memory_mb is None:
        return 1
    return max(1, min(wanted, memory_mb // (LEAST_SHARE_MB + CONTEXT_MB)))


def _parts(gpus: Sequence[Gpu], wanted: int) -> list[tuple[Gpu, int, int]]:
    """Each GPU's shares as (GPU, share, shares), dealt in turn."""
    return [
        (gpu, share, shares)
        for share in range(1, wanted + 1)
        for gpu in gpus
        if share <= (shares := shares_of(gpu.memory_mb, wanted))
    ]


def _on_gpu(
    part: tuple[Gpu, int, int], threads: int, training: tuple[str, ...], kernels: tuple[str, ...]
) -> Device:
    gpu, share, shares = part
    if shares == 1 or gpu.memory_mb is None:
        return Device("gpu", gpu.name, threads, training + kernels, gpu.uuid, gpu.memory_mb)
    memory_mb = gpu.memory_mb // shares - CONTEXT_MB
    # A kernel is timed with the whole GPU to itself.
    return Device("gpu", gpu.name, threads, training, gpu.uuid, memory_mb, share, shares)


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use: its affinity, bounded by its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    quota = _quota(root)
    return cores if quota is None else max(1, min(cores, int(quota)))


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name, or plain ``CPU`` where the system does not tell."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name" and value.strip():
                return " ".join(value.split())
    except OSError:
        pass
    return "CPU"


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """The share that CUDA_VISIBLE_DEVICES leaves; as in CUDA, an unknown entry ends the list."""
    if visible is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in (part.strip() for part in visible.split(",")):
        if entry.isdigit():
            match = gpus[int(entry)] if int(entry) < len(gpus) else None
        else:
            match = next((gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)), None)
        if match is None:
            break
        if match not in chosen:
            chosen.append(match)
    return tuple(chosen)


def _quota(root: Path) -> float | None:
    """Cores that the control group grants, or None when it sets no bound."""
    try:
        granted, period = (root / "cpu.max").read_text(encoding="utf-8").split()
        return None if granted == "max" else int(granted) / int(period)
    except (OSError, ValueError):
        pass
    try:
        granted_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if granted_us <= 0 else granted_us / period_us


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def import_nvml() -> Any:
    """NVIDIA's management library, or None where its module is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


@contextmanager
def _initialised(library: Any) -> Iterator[None]:
    library.nvmlInit()
    try:
        yield
    finally:
        library.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
