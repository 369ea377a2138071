"""Files on their way between a runner's folder and the artifact store, checked on both ways."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from db.artifacts import ArtifactStore
from labpool.errors import LabpoolError

BLOCK_BYTES = 1024 * 1024
MOST_AT_ONCE = 8
"""Files on their way into the store beside each other."""


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


@dataclass(slots=True)
class Outgoing:
    """A file on its way into the store.

    ``find`` gives its path once it is what it should be, or raises NotAsAnnounced or OSError.
    ``trouble`` says why it is not ``stored``.
    """

    key: str
    find: Callable[[], Path]
    stored: bool = False
    trouble: NotAsAnnounced | StoreRefused | None = None


def publish_all(
    store: ArtifactStore, files: Sequence[Outgoing], abandoned: Callable[[], bool]
) -> None:
    """Put files into the store, several beside each other; see what they say afterwards.

    Those put once the work is ``abandoned`` are removed again, for no row will ever name them.
    """
    left = list(reversed(files))
    errors: list[Exception] = []

    def work() -> None:
        while left and not abandoned():
            try:
                file = left.pop()
            except IndexError:
                return
            try:
                _put(store, file, abandoned)
            except Exception as error:  # noqa: BLE001 - it is raised in the caller's thread
                errors.append(error)

    # Daemons, as in `worker.aside`: a hung file server must not keep a worker from ending.
    helpers = [
        threading.Thread(target=work, name="publishing", daemon=True)
        for _ in range(min(len(files), MOST_AT_ONCE) - 1)
    ]
    for helper in helpers:
        helper.start()
    work()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]


def _put(store: ArtifactStore, file: Outgoing, abandoned: Callable[[], bool]) -> None:
    try:
        publish(store, file.key, file.find())
    except (NotAsAnnounced, StoreRefused) as error:
        file.trouble = error
    except OSError as error:
        file.trouble = StoreRefused(f"{file.key}: {error.strerror or error}.")
    else:
        if abandoned():
            store.delete(file.key)
        else:
            file.stored = True


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
