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
        self.descriptor = os.open(folder / f"{name}.lock", flags, 0o666)
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

    def close(self) -> None:
        """Close the file. A runner that still lives keeps the lock."""
        os.close(self.descriptor)
