"""Files for the slot: whole under their names, or not there at all.

They need not survive a power cut. Nobody reads a scratch folder whose worker has ended; what counts
is the copy in the artifact store, which is durable before a row names it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Written:
    """A file in the scratch folder."""

    name: str
    bytes: int
    sha256: str


def write_whole(folder: Path, name: str, write: Callable[[BinaryIO], None]) -> Written:
    """Write `folder/name` by `write`: the whole file under its name, or none.

    Raises OSError, a disk that is full among others; nothing is left under a temporary name then.
    """
    unfinished = folder / f".{name}.unfinished"
    try:
        with unfinished.open("wb") as file:
            write(file)
        written = Written(name, unfinished.stat().st_size, sha256_of(unfinished))
        unfinished.replace(folder / name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return written


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(folder: Path, name: str, content: bytes) -> Written:
    """Write a file as a whole. Raises OSError."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    return write_whole(folder, name, write)
