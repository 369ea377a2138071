"""As much of NVIDIA's management library as labpool uses."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

GIBIBYTE = 1024**3
TOTAL_BYTES = 141 * GIBIBYTE


class NVMLError(Exception):
    """What every failing call raises."""


class FakeNvml:
    """GPUs are dicts that tests may change while they are in use.

    ``uuid`` names it; ``parts`` makes it a divided one; ``old`` one that tells little;
    ``processes`` are pairs of a process's number and the bytes it uses, or None; ``used`` is all
    that is taken; ``lost`` means that it fell off the bus.
    """

    NVMLError = NVMLError
    nvmlMemory_v2 = 0x02000028  # noqa: N815 - NVML's own name

    def __init__(self, gpus: Sequence[dict[str, Any]], broken: bool = False) -> None:
        self.gpus = gpus
        self.broken = broken
        self.opened = 0
        self.shut_down = 0

    def nvmlInit(self) -> None:
        if self.broken:
            raise NVMLError("Driver Not Loaded")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.shut_down += 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> dict[str, Any]:
        for gpu in self.gpus:
            found: dict[str, Any]
            for found in (gpu, *gpu.get("parts", ())):
                if found["uuid"] == uuid and not found.get("lost"):
                    return found
        raise NVMLError("Not Found")

    def nvmlDeviceGetMigMode(self, gpu: dict[str, Any]) -> tuple[int, int]:
        if "parts" not in gpu and gpu.get("old"):
            raise NVMLError("Not Supported")
        return int("parts" in gpu), 0

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: dict[str, Any]) -> int:
        return len(gpu["parts"]) + 1

    def nvmlDeviceGetMigDeviceHandleByIndex(
        self, gpu: dict[str, Any], index: int
    ) -> dict[str, Any]:
        try:
            part: dict[str, Any] = gpu["parts"][index]
        except IndexError:
            raise NVMLError("Not Found") from None
        return part

    def nvmlDeviceGetUUID(self, gpu: dict[str, Any]) -> bytes:
        return str(gpu["uuid"]).encode()

    def nvmlDeviceGetName(self, gpu: dict[str, Any]) -> str:
        return "NVIDIA H200"

    def nvmlDeviceGetMemoryInfo(
        self, gpu: dict[str, Any], version: int | None = None
    ) -> SimpleNamespace:
        if gpu.get("old") or (version is not None and gpu.get("no_second_version")):
            raise NVMLError("Not Supported")
        return SimpleNamespace(total=TOTAL_BYTES, used=gpu.get("used", 0))

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: dict[str, Any]) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=used_bytes)
            for pid, used_bytes in gpu.get("processes", ())
        ]
