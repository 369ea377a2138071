"""The folders that runners work in: ``<scratch>/<worker>/<slot>/<trial>-<fence>/``.

A trial's folder goes when its lease ends. What a killed worker left is removed by the next worker
that starts on the same host; a scratch folder may be shared by hosts, so only a worker of this host
can tell that another one of this host is gone. Containers and cloned hosts may share a name too,
and none sees the other's processes: so a worker holds a lock on its owner file while it lives.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

from worker.process_group import start_ticks

logger = logging.getLogger(__name__)

OWNER_FILE = "owner.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Scratch:
    """One worker process's part of the scratch folder."""

    def __init__(self, root: Path, worker_id: str, host: str) -> None:
        self._root = root
        self._host = host
        self.folder = root / worker_id
        self._owner: int | None = None

    def open(self) -> None:
        """Make this worker's folder and say whose it is. Raises OSError."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The owner is written before the name counts: a folder without an owner is left alone.
        unnamed = self._root / f".{self.folder.name}.new"
        unnamed.mkdir(mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._owner = os.open(unnamed / OWNER_FILE, flags, 0o600)
        with suppress(OSError):  # not every file system has locks
            fcntl.flock(self._owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        owner = {"host": self._host, "boot": _boot_id(), **_identity(os.getpid())}
        # Written when it is locked: who can read it finds the lock held.
        os.write(self._owner, json.dumps(owner).encode())
        unnamed.replace(self.folder)

    def slot_folder(self, slot: int) -> Path:
        """Where a slot's runner lives between trials."""
        folder = self.folder / str(slot)
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def trial_folder(self, slot: int, trial: int, fence: int) -> Path:
        """A new, empty folder for one attempt."""
        folder = self.slot_folder(slot) / f"{trial}-{fence}"
        remove(folder)
        folder.mkdir(mode=0o700)
        return folder

    def close(self) -> None:
        """Remove everything of this worker."""
        if self._owner is not None:
            # First: over NFS an open file would keep its folder.
            os.close(self._owner)
            self._owner = None
        remove(self.folder)

    def remove_leftovers(self) -> list[str]:
        """Remove the folders of workers of this host that no longer run; returns their names."""
        removed = []
        for folder in sorted(self._root.iterdir()):
            if folder != self.folder and folder.is_dir() and self._is_orphan(folder):
                remove(folder)
                removed.append(folder.name)
        return removed

    def _is_orphan(self, folder: Path) -> bool:
        try:
            owner = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
            host, boot, pid, ticks = (owner[key] for key in ("host", "boot", "pid", "start_ticks"))
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if host != self._host or not isinstance(pid, int):
            return False
        if boot == _boot_id() and start_ticks(pid) == ticks:
            return False
        return not _is_locked(folder / OWNER_FILE)


def remove(folder: Path) -> None:
    """Remove a folder and all in it; what cannot be removed stays, and the log says so."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        logger.warning("%s could not be removed completely", folder)


def _is_locked(path: Path) -> bool:
    """Whether somebody holds its lock; False where the file system cannot tell."""
    try:
        # Opened to write: NFS locks nothing else.
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _identity(pid: int) -> dict[str, int | None]:
    return {"pid": pid, "start_ticks": start_ticks(pid)}


def _boot_id() -> str | None:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
