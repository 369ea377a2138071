"""A host's copies of uploads, by their sha256: no more than there is room for, none in vain.

The workers of a host share them. Whoever lays a new one down makes room first, by what was used
longest ago; now and then one of them removes those whose upload was deleted, or that nobody uses.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, NamedTuple

from db.artifacts import ArtifactStore
from labpool.readers.keeping import digest_of
from labpool.settings import Settings
from worker.files import fetch

logger = logging.getLogger(__name__)

FOLDER: Final = "uploads"
UNUSED_S: Final = 14 * 24 * 3600.0
# A copy that is still being written is younger.
UNFINISHED_S: Final = 3600.0


class _Kept(NamedTuple):
    used_at: float
    size_bytes: int
    path: Path


class UploadCache:
    """What lies there is checked each time; when it was used last is its time of change."""

    def __init__(self, datasets: Path, most_bytes: int) -> None:
        self._folder = datasets / FOLDER
        self._most_bytes = most_bytes

    @classmethod
    def of(cls, settings: Settings) -> UploadCache:
        """This host's."""
        return cls(settings.datasets_folder, settings.upload_cache_bytes)

    def hand_over(self, store: ArtifactStore, key: str, digest: str, target: Path) -> bool:
        """Lay an upload down at ``target``; False when it is in the store no more.

        Raises OSError.
        """
        kept = self._folder / f"{digest}.npz"
        for _ in range(2):
            try:
                if not _is_whole(kept, digest) and not self._copy(store, key, digest, kept):
                    return False
                os.utime(kept)
                _give(kept, target)
            except FileNotFoundError:
                continue  # another worker has just made room
            return True
        raise OSError(f"the copy of the upload {digest[:12]} is removed again and again")

    def tidy(self, needed: Callable[[Collection[str]], Collection[str]]) -> int:
        """Remove what is in vain; how many files.

        ``needed`` tells which of these sha256 belong to uploads that are there. Raises OSError.
        """
        now, kept = time.time(), self._kept()
        there = set(needed([item.path.stem for item in kept])) if kept else set()
        gone = [
            item.path
            for item in kept
            if item.path.stem not in there or now - item.used_at > UNUSED_S
        ]
        gone += [path for path in self._unfinished() if now - path.stat().st_mtime > UNFINISHED_S]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone) + self._make_room(0)

    def _copy(self, store: ArtifactStore, key: str, digest: str, kept: Path) -> bool:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_name(f".{kept.name}.{uuid.uuid4().hex}")
        try:
            if not fetch(store, key, digest, temporary):
                return False
            temporary.chmod(0o444)
            kept.unlink(missing_ok=True)
            self._make_room(temporary.stat().st_size)
            temporary.replace(kept)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _make_room(self, more_bytes: int) -> int:
        """Remove what was used longest ago until ``more_bytes`` fit; how many files."""
        kept = sorted(self._kept())
        total, removed = sum(item.size_bytes for item in kept) + more_bytes, 0
        for item in kept:
            if total <= self._most_bytes:
                break
            item.path.unlink(missing_ok=True)
            total -= item.size_bytes
            removed += 1
        return removed

    def _kept(self) -> list[_Kept]:
        found = []
        for path in self._folder.glob("[!.]*.npz"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # removed by another worker
            found.append(_Kept(status.st_mtime, status.st_size, path))
        return found

    def _unfinished(self) -> list[Path]:
        return list(self._folder.glob(".*.npz.*"))


def _is_whole(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return digest_of(file) == digest
    except FileNotFoundError:
        return False


def _give(kept: Path, target: Path) -> None:
    # Should a runner spoil it, the next one's check finds that and fetches it anew.
    try:
        os.link(kept, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system
        shutil.copyfile(kept, target)
