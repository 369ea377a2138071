"""Files on their way between a runner's folder and the artifact store, checked on both ways."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from db.artifacts import ArtifactStore
from labpool.errors import LabpoolError

BLOCK_BYTES = 1024 * 1024


class NotAsAnnounced(LabpoolError):
    """The runner announced a file that is not there as announced."""


class StoreRefused(LabpoolError):
    """The artifact store did not take a file."""

    permanent = False


class StoreSilent(StoreRefused):
    """The artifact store does not answer at all."""


def check(folder: Path, file: str, size_bytes: int, digest: str) -> Path:
    """The path of ``file`` once it is what was announced. Raises NotAsAnnounced.

    ``file`` has passed the protocol's pattern, so it names nothing outside of ``folder``.
    """
    path = folder / file
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise NotAsAnnounced(f"{file}: {error.strerror}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotAsAnnounced(f"{file} is not a plain file.")
    with os.fdopen(descriptor, "rb") as content:
        if status.st_size != size_bytes:
            raise NotAsAnnounced(f"{file} holds {status.st_size} bytes, not {size_bytes}.")
        if _digest_of(content) != digest:
            raise NotAsAnnounced(f"{file} does not have the sha256 that was announced.")
    return path


def publish(store: ArtifactStore, key: str, path: Path) -> None:
    """Put a file into the store. Raises StoreRefused, the disk being full above all."""
    try:
        store.check()
        store.put(key, path)
    except OSError as error:
        raise StoreRefused(f"{key}: {error.strerror or error}.") from error


def fetch(store: ArtifactStore, key: str, digest: str, target: Path) -> bool:
    """Copy an object of the store to ``target``; False when it is missing or not what it was.

    Raises OSError when the store cannot be read just now or ``target`` cannot be written.
    """
    if _copy(store, key, digest, target):
        return True
    # Where the store itself is away, what is missing is not gone for good.
    store.check()
    return False


def _copy(store: ArtifactStore, key: str, digest: str, target: Path) -> bool:
    try:
        source = store.get(key)
    except (FileNotFoundError, LabpoolError):
        return False
    total = sha256()
    with source, target.open("wb") as output:
        while block := source.read(BLOCK_BYTES):
            total.update(block)
            output.write(block)
    if total.hexdigest() == digest:
        return True
    target.unlink()
    return False


def _digest_of(content: BinaryIO) -> str:
    total = sha256()
    while block := content.read(BLOCK_BYTES):
        total.update(block)
    return total.hexdigest()
