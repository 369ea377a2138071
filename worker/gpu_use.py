"""Who uses a GPU besides this worker: somebody who logged in and started a program by hand.

No scheduler can see such use, and a trial beside it fails for want of memory or spoils the other's
timing. So a slot asks NVIDIA's management library before it claims, and leaves that GPU alone.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from worker import process_group
from worker.devices import import_nvml

GIBIBYTE = 1024**3
# A context takes a few hundred MiB, and what a dead process held is given back within a moment.
MOST_UNEXPLAINED_BYTES = GIBIBYTE
# The host's own numbering of processes, as the kernel fixes it.
_FIRST_PID_NAMESPACE = "pid:[4026531836]"


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU; ``used_bytes`` is None where the driver does not tell."""

    pid: int
    used_bytes: int | None


@dataclass(frozen=True, slots=True)
class Use:
    """What a GPU is used for at one moment; ``used_bytes`` is None where it does not tell."""

    processes: tuple[GpuProcess, ...]
    used_bytes: int | None


class GpuMonitor(Protocol):
    """Whoever can look at a GPU while it works."""

    def look(self, gpu_uuid: str) -> Use | None:
        """How the GPU is used just now; None when nobody can tell."""
        ...


class NvmlMonitor:
    """Looks through NVIDIA's management library; any thread may. It stays open once it was used."""

    def __init__(self, library: Any = None) -> None:
        self._library: Any = library if library is not None else import_nvml()
        self._lock = threading.Lock()
        self._is_open = False

    def look(self, gpu_uuid: str) -> Use | None:
        library = self._library
        if library is None:
            return None
        try:
            self._open()
            handle = library.nvmlDeviceGetHandleByUUID(gpu_uuid)
            processes = tuple(
                GpuProcess(found.pid, found.usedGpuMemory)
                for found in library.nvmlDeviceGetComputeRunningProcesses(handle)
            )
            return Use(processes, self._used_bytes(handle))
        except library.NVMLError:
            # A driver that was loaded anew wants a new start.
            self._close()
            return None

    def _open(self) -> None:
        with self._lock:
            if not self._is_open:
                self._library.nvmlInit()
                self._is_open = True

    def _close(self) -> None:
        with self._lock, suppress(self._library.NVMLError):
            if self._is_open:
                self._is_open = False
                self._library.nvmlShutdown()

    def _used_bytes(self, handle: Any) -> int | None:
        library = self._library
        # The first version counts what the driver keeps for itself as used.
        for version in (getattr(library, "nvmlMemory_v2", None), None):
            try:
                return int(library.nvmlDeviceGetMemoryInfo(handle, version).used)
            except library.NVMLError:
                continue
        return None


def used_by_others(
    use: Use,
    runner_has_worked: bool,
    is_labpools: Callable[[int], bool],
    is_ours: Callable[[int], bool] | None = None,
    name_of: Callable[[int], str | None] | None = None,
    neighbours_bytes: int = 0,
) -> str | None:
    """Who else uses the GPU, in words; None when nobody does, or nobody can tell.

    ``runner_has_worked`` is whether a runner of this worker has worked there. ``is_labpools`` tells
    the runners of other workers: who asks holds the GPU's lock, so they are at rest or on shares of
    their own, and two that took that for use would keep each other waiting. ``is_ours`` tells this
    worker's processes; ``name_of`` a process's name, None for one that cannot be seen from here.
    Inside a container the driver may number processes as the host does: then what the worker's own
    runners take cannot be told from what others take, once one has worked. Nor can what another
    worker's runner takes that is at work on a share beside: up to ``neighbours_bytes``, what is
    theirs to take, need no explanation.
    """
    is_ours, name_of = is_ours or _is_below_this_process, name_of or _name_of
    ours = [one for one in use.processes if is_ours(one.pid)]
    known = [one for one in use.processes if one in ours or is_labpools(one.pid)]
    others = [(one, name_of(one.pid)) for one in use.processes if one not in known]
    strangers = [(one, name) for one, name in others if name is not None]
    if strangers:
        return "used by hand: " + "; ".join(
            f"pid {one.pid} ({name}){_amount(one.used_bytes)}" for one, name in strangers[:3]
        )
    if runner_has_worked and not ours:
        return None
    explained_bytes = sum(one.used_bytes or 0 for one in known)
    hidden_bytes = (use.used_bytes or 0) - explained_bytes
    most_bytes = MOST_UNEXPLAINED_BYTES + neighbours_bytes
    if hidden_bytes <= most_bytes or any(one.used_bytes is None for one in known):
        return None
    return f"used by a process that cannot be seen from here{_amount(hidden_bytes)}"


def _amount(used_bytes: int | None) -> str:
    return f", {used_bytes / GIBIBYTE:.1f} GiB" if used_bytes else ""


def _is_below_this_process(pid: int) -> bool:
    return process_group.descends_from(pid, os.getpid())


def _name_of(pid: int, proc: Path = process_group.PROC) -> str | None:
    try:
        if str((proc / "self" / "ns" / "pid").readlink()) != _FIRST_PID_NAMESPACE:
            # The number may be the host's, and then another process has it here.
            return None
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
