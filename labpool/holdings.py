"""The data sets that this host holds: one folder each, shared by all of its workers.

``examples.npz`` are the examples as `readers.keeping` writes them, ``record.json`` says what they
are and where they came from. Both appear at once, or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from labpool.errors import LabpoolError
from labpool.readers import Labelled, Limits
from labpool.readers.keeping import digest_of, write

EXAMPLES, RECORD = "examples.npz", "record.json"
LIMITS = Limits(file_bytes=2 * 1024**3, array_bytes=2 * 1024**3)
"""For files whose checksum is known: labpool wrote them."""


class HoldingBroken(LabpoolError):
    """The files of a data set are damaged."""


class NotHeld(LabpoolError):
    """The files of a data set are not on this machine."""


class Taken(BaseModel):
    """A file that the examples were made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    bytes: int
    sha256: str
    url: str | None = None


class Record(BaseModel):
    """What a holding is. ``pinned``: its content is what the catalog's checksums say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int
    kind: Literal["image", "vector"]
    shape: list[int]
    counts: list[int]
    test: int
    origin: Literal["fetched", "imported"]
    pinned: bool
    taken: list[Taken]
    at: str


def ways(name: str) -> str:
    """How the files of ``name`` get here."""
    return (
        f"With a way to the network: `labpool data fetch {name}`. Without: bring the files from "
        f"another machine and run `labpool data import {name} FILE…`. Both on the worker's machine."
    )


def record_of(root: Path, name: str) -> Record | None:
    """What is held of ``name`` below ``root``; None when nothing is. Raises HoldingBroken."""
    try:
        text = (root / name / RECORD).read_text(encoding="utf-8")
        record = Record.model_validate_json(text)
        size = (root / name / EXAMPLES).stat().st_size
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise HoldingBroken(f"{root / name}: {error}. {ways(name)}") from None
    if size != record.bytes:
        raise HoldingBroken(f"{root / name / EXAMPLES} has {size} bytes, not {record.bytes}.")
    return record


def held(root: Path, name: str) -> tuple[Path, Record]:
    """The file of ``name`` and its record. Raises NotHeld, saying both ways, and HoldingBroken."""
    record = record_of(root, name)
    if record is None:
        raise NotHeld(f"{name!r} is looked for in {root}. {ways(name)}")
    return root / name / EXAMPLES, record


def verify(root: Path, name: str) -> Record:
    """Read every byte of a holding again. Raises NotHeld, HoldingBroken."""
    path, record = held(root, name)
    with path.open("rb") as file:
        found = digest_of(file)
    if found != record.sha256:
        raise HoldingBroken(
            f"{path} has the sha256 {found}, recorded is {record.sha256}. "
            f"Remove {path.parent} and take it in again. {ways(name)}"
        )
    return record


def keep(root: Path, name: str, examples: Labelled, record: Callable[[str, int], Record]) -> Record:
    """Put examples where `held` finds them, whole or not at all.

    ``record`` makes the record from the file's sha256 and size. The caller holds the lock. Raises
    OSError.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    try:
        digest = write(examples, folder / EXAMPLES)
        made = record(digest, (folder / EXAMPLES).stat().st_size)
        (folder / RECORD).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for file in (folder / EXAMPLES, folder / RECORD):
            _sync(file)
        folder.chmod(0o755)
        old = root / name
        if old.exists():
            # A reader that has opened the old file goes on reading it.
            aside = folder.with_name(f"{folder.name}-old")
            old.rename(aside)
            folder.rename(old)
            shutil.rmtree(aside)
        else:
            folder.rename(old)
        _sync(root)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return made


@contextmanager
def only_one(root: Path, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of ``name``: of all processes that take it in, one works and the others wait.

    ``on_wait`` is called when another one has it. The kernel frees it however a process ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def now_text() -> str:
    """The time, for a record."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def folder_of(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the data sets of this host are, by an environment."""
    if given := environment.get("LABPOOL_DATASETS_DIR"):
        return Path(given).expanduser().absolute()
    data = environment.get("LABPOOL_DATA_DIR") or "~/.labpool"
    return Path(data).expanduser().absolute() / "datasets"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
