"""Compiled kernels kept on disk, by the hash of all that makes them what they are."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

CACHE_BYTES = 128 * 1024**2
FORM = 1
"""Counts up when what is kept, or how a log is filtered, changes."""
STALE_SECONDS = 600.0


def key_of(parts: Sequence[str]) -> str:
    """A name for what these parts make; another order is another name."""
    return hashlib.sha256(json.dumps([FORM, *parts]).encode()).hexdigest()


def find(folder: Path, key: str) -> Any:
    """What was kept under `key`; None for nothing, and for what was damaged since."""
    path = folder / f"{key}.json"
    with suppress(OSError, ValueError):
        digest, _, body = path.read_bytes().partition(b"\n")
        if digest == _digest(key, body):
            os.utime(path)
            return json.loads(body)
    return None


def keep(folder: Path, key: str, value: Any) -> None:
    """Keep `value` under `key`, and drop what was used longest ago beyond CACHE_BYTES.

    Nobody sees half of it. Where it cannot be written, nothing is kept.
    """
    body = json.dumps(value).encode()
    passing = folder / f"{key}.{uuid4().hex}.new"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            passing.write_bytes(_digest(key, body) + b"\n" + body)
            passing.replace(folder / f"{key}.json")
        finally:
            passing.unlink(missing_ok=True)
        _shrink(folder)


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).hexdigest().encode()


def _shrink(folder: Path) -> None:
    held = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            about = path.stat()
            if path.suffix == ".json":
                held.append((about.st_mtime, about.st_size, path))
            elif path.suffix == ".new" and time.time() - about.st_mtime > STALE_SECONDS:
                path.unlink()
    total = sum(size for _, size, _ in held)
    for _, size, path in sorted(held):
        if total <= CACHE_BYTES:
            return
        path.unlink(missing_ok=True)
        total -= size
