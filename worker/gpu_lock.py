"""At most one trial at a time on a GPU, or on a share of it, whoever's worker starts it.

A lease in the database keeps two slots of one pool apart. It cannot keep apart two pools on one
host, nor a new worker and the runner of a dead one that hangs in the driver. A file lock can: it
belongs to the open file, which the slot shares with its runner, and lasts until both have let go.
That needs a folder that all of them see: a service may have a temporary folder of its own, and so
may each user.

A share takes that lock shared, and by a second one that belongs to the open file too the part of
the file that stands for its part of the GPU. So it keeps out slots on the whole GPU, and of other
shares those that would take the same memory, also where another worker shares by another number.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from labpool.settings import GPU_LOCKS
from worker.process_group import PROC

# A whole number of bytes for every share of up to 16. The file need not be as long.
_SPAN = 720_720
# The kernel's `struct flock`: type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi4x")


def lock_folder(wanted: Path | None) -> tuple[Path, str | None]:
    """Where the locks lie, and why others of this host may not see them there, if so.

    ``wanted`` must be of use when it is given; the host's usual place need not be.
    Raises OSError.
    """
    if wanted is not None:
        _make(wanted)
        return wanted, None
    try:
        _make(GPU_LOCKS)
    except OSError as error:
        folder = Path(tempfile.gettempdir()) / "labpool-gpu-locks"
        _make(folder)
        return folder, f"{GPU_LOCKS} cannot be used ({error.strerror})"
    return GPU_LOCKS, unshared(GPU_LOCKS)


def unshared(
    folder: Path, marks: Sequence[Path] = (Path("/.dockerenv"), Path("/run/.containerenv"))
) -> str | None:
    """Why nobody outside this container sees the folder; None when they may."""
    if any(mark.exists() for mark in marks) and folder.stat().st_dev == Path("/").stat().st_dev:
        return f"{folder} is this container's own"
    return None


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        # Any user's worker may come to this host.
        folder.chmod(0o1777)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(13, "no file can be made there", str(folder))


class GpuLock:
    """The lock of one GPU of this host, or of one of its shares."""

    def __init__(self, gpu_uuid: str, folder: Path, share: int = 1, shares: int = 1) -> None:
        """Opens the lock file, without locking it. ``share`` counts from 1. Raises OSError."""
        _make(folder)
        self._is_share = shares > 1
        self._start, self._length = _SPAN * (share - 1) // shares, _SPAN // shares
        name = re.sub(r"[^A-Za-z0-9-]", "_", gpu_uuid)
        self._path = folder / f"{name}.lock"
        self.descriptor = _open(self._path)
        self.is_stale = False
        """Whether the file is not there any more: others would lock another. Open it anew."""

    def acquire(self) -> bool:
        """Take the lock if it is free; False when another trial holds it, or it went stale.

        Raises OSError.
        """
        if not self._lock():
            return False
        try:
            self.is_stale = not os.path.samestat(self._path.stat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            self.is_stale = True
        if self.is_stale:
            self.release()
            return False
        with suppress(OSError):
            # Whoever clears away old files goes by that.
            os.utime(self.descriptor)
        return True

    def release(self) -> None:
        """Let go, for the runner that shares the file too."""
        if self._is_share:
            self._set(fcntl.F_UNLCK)
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def has_company(self) -> bool:
        """Whether a trial is at work on another share of the GPU."""
        if not self._is_share:
            return False
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, _SPAN, 0)
        found = fcntl.fcntl(self.descriptor, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)

    def _lock(self) -> bool:
        mode = fcntl.LOCK_SH if self._is_share else fcntl.LOCK_EX
        try:
            fcntl.flock(self.descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            if self._is_share:
                self._set(fcntl.F_WRLCK)
        except (BlockingIOError, PermissionError):
            # The kernel may say either. Kept, the shared lock would keep out a whole GPU's slot.
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            return False
        return True

    def _set(self, kind: int) -> None:
        """Lock or unlock the share's part."""
        asked = _FLOCK.pack(kind, os.SEEK_SET, self._start, self._length, 0)
        fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, asked)

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


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        # In a folder that is everybody's, O_CREAT alone is refused for another user's file.
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            with suppress(PermissionError):
                os.fchmod(descriptor, 0o666)
            return descriptor
