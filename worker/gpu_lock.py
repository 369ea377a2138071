"""At most one trial at a time on a GPU, whoever's worker starts it.

A lease in the database keeps two slots of one pool apart. It cannot keep apart two pools on one
host, nor a new worker and the runner of a dead one that hangs in the driver. A file lock can: it
belongs to the open file, which the slot shares with its runner, and lasts until both have let go.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from worker.process_group import PROC


class GpuLock:
    """The lock of one GPU of this host."""

    def __init__(self, gpu_uuid: str, folder: Path | None = None) -> None:
        """Opens the lock file, without locking it. Raises OSError."""
        folder = folder or Path(tempfile.gettempdir()) / "labpool-gpu-locks"
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):
            # Any user's worker may come to this host.
            folder.chmod(0o1777)
        name = re.sub(r"[^A-Za-z0-9-]", "_", gpu_uuid)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._path = folder / f"{name}.lock"
        self.descriptor = os.open(self._path, flags, 0o666)
        with suppress(PermissionError):
            os.fchmod(self.descriptor, 0o666)

    def acquire(self) -> bool:
        """Take the lock if it is free; False when another trial holds it."""
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go, for the runner that shares the file too."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def is_open_in(self, pid: int, proc: Path = PROC) -> bool:
        """Whether a process has the file open, as every labpool's runner on this GPU has.

        False also for another user's process, which does not show what it has open.
        """
        with suppress(OSError):
            return any(self._is_at(entry) for entry in (proc / str(pid) / "fd").iterdir())
        return False

    def _is_at(self, entry: Path) -> bool:
        with suppress(OSError):
            # The name first: to ask a hung file server about its file would hang too.
            same_name = entry.readlink().name == self._path.name
            return same_name and os.path.samestat(entry.stat(), os.fstat(self.descriptor))
        return False

    def close(self) -> None:
        """Close the file. A runner that still lives keeps the lock."""
        os.close(self.descriptor)
