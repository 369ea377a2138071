"""Labelled examples as labpool keeps them: one NPZ file whose bytes depend on the content alone."""

from __future__ import annotations

import sys
import zipfile
from array import array
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from labpool.readers.labelled import Labelled
from labpool.readers.limits import BLOCK_BYTES, BadData, Limits
from labpool.readers.npz import read_npz
from labpool.readers.raw import RawArray

_KINDS = {"B": "|u1", "f": "<f4", "i": "<i4"}
# A zip file cannot say that it has no date.
_DATE = (1980, 1, 1, 0, 0, 0)


def write(examples: Labelled, path: Path) -> str:
    """Write ``examples`` to ``path``; the file's sha256. Raises OSError."""
    rows = len(examples.y)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values, shape in (
            ("x", examples.x, (rows, *examples.shape)),
            ("y", examples.y, (rows,)),
        ):
            member = zipfile.ZipInfo(f"{name}.npy", _DATE)
            member.external_attr = 0o600 << 16
            with archive.open(member, "w", force_zip64=False) as content:
                content.write(_header(_KINDS[values.typecode], shape))
                for block in _blocks(values):
                    content.write(block)
    with path.open("rb") as file:
        return digest_of(file)


def read(path: Path, limits: Limits) -> tuple[RawArray, RawArray]:
    """``x`` and ``y`` of a file that `write` made. Raises BadData."""
    arrays = read_npz(path, limits)
    if (
        set(arrays) != {"x", "y"}
        or arrays["y"].kind != "i4"
        or arrays["x"].kind not in ("u1", "f4")
    ):
        raise BadData(path.name, "", "was not written by labpool.")
    return arrays["x"], arrays["y"]


def digest_of(file: BinaryIO) -> str:
    """The sha256 of what is left of ``file``."""
    total = sha256()
    while block := file.read(BLOCK_BYTES):
        total.update(block)
    return total.hexdigest()


def _header(kind: str, shape: tuple[int, ...]) -> bytes:
    """An NPY header, padded so that the numbers begin at a multiple of 64 bytes."""
    sides = ", ".join(str(side) for side in shape) + ("," if len(shape) == 1 else "")
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sides}), }}".encode()
    text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def _blocks(values: array[Any]) -> Iterator[bytes]:
    step = BLOCK_BYTES // values.itemsize
    for start in range(0, len(values), step):
        block = values[start : start + step]
        if sys.byteorder == "big" and block.itemsize > 1:
            block.byteswap()
        yield block.tobytes()
