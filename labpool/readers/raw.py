"""Bytes to arrays of numbers, read in pieces as they come and never more than was declared."""

from __future__ import annotations

import math
import os
import stat
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from labpool.readers.limits import BLOCK_BYTES, BadData, Limits

CODES = {
    "b1": "B", "u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q",
    "i8": "q", "f4": "f", "f8": "d",
}  # fmt: skip
"""The types of numbers that are read, by kind and bytes, and how Python's array names them."""
MOST_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class RawArray:
    """Numbers of a file: ``kind`` of CODES, ``shape``, and ``values`` flat in C order.

    ``file`` and ``where`` say where they stood, for what is found wrong with them later.
    """

    file: str
    where: str
    kind: str
    shape: tuple[int, ...]
    values: array[Any]

    def wrong(self, reason: str) -> BadData:
        """The error for something that is wrong with this array."""
        return BadData(self.file, self.where, reason)


class Source:
    """Bytes of one file or member from its beginning, counted."""

    def __init__(self, file: str, read: Callable[[int], bytes], member: str = "") -> None:
        self.file, self.member, self.position = file, member, 0
        self._read = read

    @property
    def where(self) -> str:
        at = f"byte {self.position}"
        return f"{self.member}, {at}" if self.member else at

    def wrong(self, reason: str) -> BadData:
        """The error for what stands at this place."""
        return BadData(self.file, self.where, reason)

    def some(self, most: int) -> bytes:
        """Up to ``most`` bytes; none at the end."""
        piece = self._read(most)
        self.position += len(piece)
        return piece

    def take(self, count: int, what: str) -> bytes:
        """Exactly ``count`` bytes, a few. Raises BadData."""
        found = b""
        while len(found) < count:
            piece = self.some(count - len(found))
            if not piece:
                raise self.wrong(f"ends inside {what}, {count - len(found)} bytes short.")
            found += piece
        return found

    def numbers(self, kind: str, shape: tuple[int, ...], big_endian: bool) -> array[Any]:
        """``prod(shape)`` numbers, taken in as they come. Raises BadData."""
        values = array(CODES[kind])
        left = prod(shape) * values.itemsize
        held = b""
        while left:
            piece = self.some(min(left, BLOCK_BYTES))
            if not piece:
                raise self.wrong(f"ends {left} bytes before the {shape} numbers it declares.")
            left -= len(piece)
            held += piece
            whole = len(held) - len(held) % values.itemsize
            values.frombytes(held[:whole])
            held = held[whole:]
        if values.itemsize > 1 and big_endian != (sys.byteorder == "big"):
            values.byteswap()
        return values

    def finish(self) -> None:
        """Raises BadData when something follows."""
        if self.some(1):
            self.position -= 1
            raise self.wrong("has bytes after the end of its numbers.")


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[tuple[BinaryIO, int]]:
    """A plain file of at most ``limits.file_bytes``, and its size. Raises BadData."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise BadData(path.name, "", f"cannot be opened: {error}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise BadData(path.name, "", "is not a plain file.")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > limits.file_bytes:
            raise BadData(
                path.name, "",
                f"has {status.st_size} bytes; at most {limits.file_bytes} are read.",
            )  # fmt: skip
        yield file, status.st_size


def refuse_shape(source: Source, kind: str, shape: tuple[int, ...], limits: Limits) -> int:
    """The bytes that numbers of ``kind`` and ``shape`` take. Raises BadData beyond the limits."""
    if not 1 <= len(shape) <= MOST_DIMENSIONS:
        raise source.wrong(f"declares {len(shape)} dimensions; 1 to {MOST_DIMENSIONS} are read.")
    size = prod(shape) * array(CODES[kind]).itemsize
    if size > limits.array_bytes:
        raise source.wrong(
            f"declares the shape {shape}, {size} bytes; at most {limits.array_bytes} are read."
        )
    if shape[0] > limits.examples or prod(shape) == 0:
        raise source.wrong(f"declares the shape {shape}: no data set has that many rows, or none.")
    return size


def first_not_finite(values: array[Any]) -> int | None:
    """Where the first NaN or infinity stands in ``values``; None where all are finite."""
    if values.typecode not in "fd":
        return None
    step = 65536
    for start in range(0, len(values), step):
        part = values[start : start + step]
        # One sum tells of a whole block; where it overflows, each number is looked at.
        if not math.isfinite(sum(part)):
            for place, value in enumerate(part):
                if not math.isfinite(value):
                    return start + place
    return None


def refuse_not_finite(found: RawArray) -> None:
    """Raises BadData that names the first number that is none."""
    place = first_not_finite(found.values)
    if place is not None:
        row = place // max(prod(found.shape[1:]), 1)
        raise found.wrong(
            f"holds {found.values[place]} in row {row}; only finite numbers are read."
        )
