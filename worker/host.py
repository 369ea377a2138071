"""What the slots of one worker process share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db.artifacts import ArtifactStore
from labpool.catalog import Catalog
from labpool.settings import Settings
from worker.clocks import since_boot_s
from worker.database_access import DatabaseAccess
from worker.gpu_use import GpuMonitor, NvmlMonitor
from worker.probe import COMMAND as PROBE
from worker.scratch import Scratch


@dataclass(frozen=True)
class Host:
    """Services and facts of one worker process. ``versions`` goes into each attempt's record.

    ``gpu_locks`` is the folder of the GPUs' locks, None on a host without GPUs. ``ring`` tells
    every slot of the pool that there may be work, and returns at once.
    """

    settings: Settings
    database: DatabaseAccess
    store: ArtifactStore
    catalog: Catalog
    scratch: Scratch
    worker_id: str
    name: str
    versions: dict[str, Any] = field(default_factory=dict)
    gpus: GpuMonitor = field(default_factory=NvmlMonitor)
    gpu_locks: Path | None = None
    probe_command: Sequence[str] = PROBE
    clock: Callable[[], float] = time.monotonic
    lease_clock: Callable[[], float] = since_boot_s
    ring: Callable[[], None] = lambda: None
