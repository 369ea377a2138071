"""Files that survive a power cut, or are not there at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Written:
    """A file that is durable."""

    name: str
    bytes: int
    sha256: str


def write_durably(folder: Path, name: str, write: Callable[[BinaryIO], None]) -> Written:
    """Write `folder/name` by `write`: the whole file under its name, or none.

    Raises OSError, a disk that is full among others; nothing is left under a temporary name then.
    """
    unfinished = folder / f".{name}.unfinished"
    try:
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        written = Written(name, unfinished.stat().st_size, sha256_of(unfinished))
        unfinished.replace(folder / name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    # The rename itself lives in the folder.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return written


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(folder: Path, name: str, content: bytes) -> Written:
    """Write a file as a whole, durable. Raises OSError."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    return write_durably(folder, name, write)
