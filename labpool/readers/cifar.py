"""CIFAR-10's binary version: records of one label and 3 x 32 x 32 bytes, alone or in a tar.gz.

The Python version is pickled and is not read.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path
from typing import Any

from labpool.readers.gz import MAGIC, Gunzip
from labpool.readers.limits import MIB, BadData, Limits
from labpool.readers.raw import RawArray, Source, opened

SIDE, PLANE = 32, 32 * 32
RECORD = 1 + 3 * PLANE
_BATCH = re.compile(r"(data_batch_[1-5]|test_batch)\.bin")
_MOST_MEMBERS = 64
_HEADER = 512


def read_cifar(path: Path, limits: Limits) -> dict[str, tuple[RawArray, RawArray]]:
    """By the batch's name (data_batch_1, test_batch) u1 x [n, 32, 32, 3] and y [n].

    ``path`` is the binary version's .tar.gz or one of its .bin files. Raises BadData.
    """
    with opened(path, limits) as (file, size):
        packed = file.read(2) == MAGIC
        file.seek(0)
        if packed:
            # The headers and the pages beside the batches take a little more.
            unpacked = Gunzip(path.name, file, limits.array_bytes + 16 * MIB)
            return _archive(Source(path.name, unpacked.read), limits)
        match = _BATCH.fullmatch(path.name)
        if match is None:
            raise BadData(path.name, "", "is neither cifar-10-binary.tar.gz nor data_batch_1.bin …")
        source = Source(path.name, file.read)
        found = _batch(source, size, limits)
        source.finish()
        return {match[1]: found}


def _archive(source: Source, limits: Limits) -> dict[str, tuple[RawArray, RawArray]]:
    found: dict[str, tuple[RawArray, RawArray]] = {}
    left = limits.array_bytes
    for _ in range(_MOST_MEMBERS):
        at = source.position
        header = source.take(_HEADER, "a tar header")
        if header == bytes(_HEADER):
            _refuse_more(source)
            return found
        name, size, kind = _parsed(source, header, at)
        source.member = f"member {name!r}"
        match = _BATCH.fullmatch(name.rpartition("/")[2])
        if kind == "0" and match and match[1] not in found:
            found[match[1]] = _batch(source, size, Limits(array_bytes=left))
            left -= size
            _skip(source, -size % _HEADER)
        else:
            _skip(source, size + -size % _HEADER)
        source.member = ""
    raise source.wrong(f"holds more than {_MOST_MEMBERS} members.")


def _parsed(source: Source, header: bytes, at: int) -> tuple[str, int, str]:
    """Name, size and kind of a member. Raises BadData for links, devices and strange names."""
    source.position, here = at, source.position
    if sum(header[:148]) + sum(header[156:]) + 8 * 32 != _octal(source, header[148:156]):
        raise source.wrong("is no tar header: its checksum is wrong.")
    name = header[:100].split(b"\0")[0].decode("latin-1")
    prefix = (
        header[345:500].split(b"\0")[0].decode("latin-1") if header[257:262] == b"ustar" else ""
    )
    name = f"{prefix}/{name}" if prefix and header[263:265] == b"00" else name
    kind = {"\0": "0"}.get(chr(header[156]), chr(header[156]))
    if kind in "12":
        raise source.wrong(f"member {name!r} is a link, which is never followed.")
    if kind not in "05":
        raise source.wrong(f"member {name!r} is neither a file nor a folder (kind {kind!r}).")
    if name.startswith("/") or ".." in name.split("/"):
        raise source.wrong(f"member {name!r} would lie outside of the archive's folder.")
    size = _octal(source, header[124:136])
    source.position = here
    return name, size if kind == "0" else 0, kind


def _octal(source: Source, field: bytes) -> int:
    text = field.strip(b" \0")
    if not re.fullmatch(b"[0-7]{1,11}", text):
        raise source.wrong("is no tar header: a number in it is none.")
    return int(text, 8)


def _skip(source: Source, count: int) -> None:
    while count:
        piece = source.some(min(count, 65536))
        if not piece:
            raise source.wrong(f"is cut off, {count} bytes short.")
        count -= len(piece)


def _refuse_more(source: Source) -> None:
    """What follows a tar's end is zeros up to a block."""
    while piece := source.some(65536):
        if piece.count(0) != len(piece):
            raise source.wrong("has bytes after the archive's end.")


def _batch(source: Source, size: int, limits: Limits) -> tuple[RawArray, RawArray]:
    count, rest = divmod(size, RECORD)
    if rest or not count:
        raise source.wrong(f"has {size} bytes, no whole number of records of {RECORD}.")
    if size > limits.array_bytes:
        raise source.wrong(f"has {size} bytes; at most {limits.array_bytes} are read.")
    where = source.member
    x, y = array("B"), array("B")
    pixels = bytearray(3 * PLANE)
    for _ in range(count):
        record = source.take(RECORD, "a record")
        y.append(record[0])
        for channel in range(3):
            pixels[channel::3] = record[1 + channel * PLANE : 1 + (channel + 1) * PLANE]
        x.frombytes(pixels)
    return _raw(source, where, (count, SIDE, SIDE, 3), x), _raw(source, where, (count,), y)


def _raw(source: Source, where: str, shape: tuple[int, ...], values: array[Any]) -> RawArray:
    return RawArray(source.file, where, "u1", shape, values)
