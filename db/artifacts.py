"""The artifact store: six methods. Rows hold keys, never paths."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from labpool.errors import LabpoolError

_PART = r"[a-z0-9][a-z0-9_.-]{0,99}"
_KEY = re.compile(rf"{_PART}(/{_PART}){{0,7}}")
_ID_FILE = "store-id"


class BadKey(LabpoolError):
    """This is no key of the artifact store."""


class StoreAway(OSError):
    """The artifact store is not where it was, so nothing can be told about what it holds."""


class ArtifactStore(Protocol):
    """Where checkpoints, logs and other files are kept. Keys are small letters, digits, ``_.-``,
    in parts separated by ``/``; every method with a key raises BadKey for anything else."""

    store_id: str

    def check(self) -> None:
        """Raises StoreAway when this is not the store it was: its share is not mounted, say."""

    def put(self, key: str, source: Path) -> None:
        """Copy ``source`` to ``key``, replacing what was there. When this returns, the file
        survives a power cut; until then readers see the old file or none. Raises OSError."""

    def get(self, key: str) -> BinaryIO:
        """The file of ``key``, open for reading. Raises FileNotFoundError."""

    def stat(self, key: str) -> int | None:
        """The size in bytes, or None when there is no such key."""

    def list(self, prefix: str) -> Iterator[str]:
        """Every key below ``prefix/``, in order."""

    def delete(self, key: str) -> None:
        """Forget ``key``; no error when there is none."""


class FolderStore:
    """A folder, on a disk or a share that every worker and the API see."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.store_id = _store_id(root)

    def check(self) -> None:
        if read_store_id(self._root) != self.store_id:
            raise StoreAway(
                f"the artifact store {self.store_id} is not in {self._root}; is its share mounted?"
            )

    def put(self, key: str, source: Path) -> None:
        target = self._path(key)
        self._make_folder(target.parent)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            with source.open("rb") as reading, temporary.open("xb") as writing:
                shutil.copyfileobj(reading, writing, 1024 * 1024)
                writing.flush()
                os.fsync(writing.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def get(self, key: str) -> BinaryIO:
        return self._path(key).open("rb")

    def stat(self, key: str) -> int | None:
        path = self._path(key)
        return path.stat().st_size if path.is_file() else None

    def list(self, prefix: str) -> Iterator[str]:
        folder = self._path(prefix)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                yield path.relative_to(self._root).as_posix()

    def delete(self, key: str) -> None:
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise BadKey(repr(key))
        return self._root / key

    def _make_folder(self, folder: Path) -> None:
        missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            _sync_folder(made.parent)


def read_store_id(root: Path) -> str | None:
    """The id of the store in folder ``root``; None when it is no store (yet)."""
    try:
        return (root / _ID_FILE).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def _store_id(root: Path) -> str:
    """The id in the store's folder, made when it is new; the first of several makers wins."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / _ID_FILE
    temporary = root / f".{_ID_FILE}.{uuid.uuid4().hex}"
    if not path.exists():
        temporary.write_text(uuid.uuid4().hex, encoding="ascii")
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text(encoding="ascii").strip()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
