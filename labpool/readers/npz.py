"""NPZ: a zip file of NPY arrays. Nothing is unpickled: an array of objects is refused."""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from labpool.readers.limits import MIB, MOST_DEFLATED, BadData, Limits
from labpool.readers.raw import CODES, RawArray, Source, opened, refuse_not_finite, refuse_shape

MOST_MEMBERS = 16
_MOST_DIRECTORY_BYTES = 64 * 1024
_END, _END_BYTES = b"PK\x05\x06", 22
_MEMBER = b"PK\x03\x04"
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}\.npy")
_MAGIC = b"\x93NUMPY"
_MOST_HEADER_BYTES = 4096
_HEADER = re.compile(
    r"\{\s*'descr':\s*'([<>|=]?)([a-zA-Z]\d*)',\s*'fortran_order':\s*(True|False),"
    r"\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)
# All that zipfile and zlib raise for what is not as it should be.
_ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    OverflowError, struct.error, OSError,
)  # fmt: skip


def read_npz(path: Path, limits: Limits = Limits()) -> dict[str, RawArray]:  # noqa: B008 - frozen
    """The arrays of an NPZ file by name. Raises BadData."""
    with opened(path, limits) as (file, size):
        _refuse_directory(path.name, file, size)
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                _refuse_members(path.name, members, limits)
                return {
                    member.filename.removesuffix(".npy"): _member(
                        path.name, archive, member, limits
                    )
                    for member in members
                }
        except _ZIP_ERRORS as error:
            raise BadData(path.name, "", f"is cut off or damaged: {error}.") from None


def _refuse_directory(name: str, file: BinaryIO, size: int) -> None:
    """Before the zip library lists what there is: a directory can be as long as the file."""
    if size < _END_BYTES:
        raise BadData(name, "byte 0", "is too short for a zip file: cut off, or none at all.")
    file.seek(max(size - _END_BYTES - _LOCATOR_BYTES, 0))
    tail = file.read()
    end = tail[-_END_BYTES:]
    at = f"byte {size - _END_BYTES}"
    if end[:4] != _END:
        file.seek(0)
        raise BadData(name, at, _without_end(file.read(len(_MAGIC))))
    if tail[:4] == _LOCATOR and len(tail) == _END_BYTES + _LOCATOR_BYTES:
        raise BadData(name, at, "is a zip file in the form for more than 4 GiB.")
    count, directory, begins = struct.unpack("<10xHIIxx", end)
    if not 1 <= count <= MOST_MEMBERS:
        raise BadData(name, at, f"holds {count} members; 1 to {MOST_MEMBERS} are read.")
    if directory > _MOST_DIRECTORY_BYTES or begins + directory != size - _END_BYTES:
        raise BadData(name, at, "is damaged: its directory is not where it should be.")
    file.seek(0)


def _without_end(begin: bytes) -> str:
    """What a file is that does not end as a zip file does, by its first bytes."""
    if begin == _MAGIC:
        return "is a single NPY array; save with np.savez."
    if begin.startswith(_MEMBER):
        return (
            "begins as a zip file and does not end as one: it is cut off or damaged, or has bytes "
            "after its end."
        )
    return "is no zip file."


def _refuse_members(name: str, members: list[zipfile.ZipInfo], limits: Limits) -> None:
    seen: set[str] = set()
    total, free = 0, 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if reason := _refuse_member(member, seen):
            raise BadData(name, f"member {member.filename!r}", reason)
        if member.header_offset < free:
            raise BadData(name, f"member {member.filename!r}", "lies over another one.")
        free = member.header_offset + 30 + member.compress_size
        total += member.file_size
        seen.add(member.filename)
    if total > limits.array_bytes + len(members) * MIB:
        raise BadData(
            name, "", f"unpacks to {total} bytes; at most {limits.array_bytes} are read."
        )  # fmt: skip


def _refuse_member(member: zipfile.ZipInfo, seen: set[str]) -> str | None:
    mode = member.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is a link or something else than a plain file."
    if not _NAME.fullmatch(member.filename):
        return "is no array: a member's name is NAME.npy, without folders."
    if member.filename in seen:
        return "is there twice."
    if member.flag_bits & 0x1:
        return "is encrypted."
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read; use np.savez or np.savez_compressed."
    if member.file_size > (member.compress_size + 1) * MOST_DEFLATED:
        packed = member.compress_size
        return f"declares {member.file_size} bytes packed into {packed}, which cannot be."
    return None


def _member(
    name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits
) -> RawArray:
    with archive.open(member) as content:
        source = Source(name, content.read, f"member {member.filename!r}")
        found = _array(source, member.file_size, limits)
        # Reading on to the end is what makes the library compare the checksum.
        source.finish()
    refuse_not_finite(found)
    return found


def _array(source: Source, size: int, limits: Limits) -> RawArray:
    begin = source.take(8, "the magic number")
    if begin[:6] != _MAGIC or begin[6] not in (1, 2, 3):
        source.position = 0
        raise source.wrong("is not an NPY array.")
    long = begin[6] > 1
    length = int.from_bytes(source.take(4 if long else 2, "the header's length"), "little")
    if length > _MOST_HEADER_BYTES:
        raise source.wrong(f"declares a header of {length} bytes; {_MOST_HEADER_BYTES} are read.")
    header = source.take(length, "the header").decode("latin-1")
    if "'O" in header or "|O" in header:
        raise source.wrong("is an array of objects, which would have to be unpickled; never done.")
    match = _HEADER.fullmatch(header)
    if match is None:
        raise source.wrong("has a header that describes no plain array of numbers.")
    order, kind, fortran, sides = match.groups()
    if kind not in CODES:
        raise source.wrong(f"holds {kind!r}; numbers of the types {', '.join(CODES)} are read.")
    shape = tuple(int(side[:20]) for side in sides.replace(" ", "").split(",") if side)
    if fortran == "True" and len(shape) > 1:
        raise source.wrong("is in Fortran order; save np.ascontiguousarray(it).")
    needed = refuse_shape(source, kind, shape, limits)
    if needed != size - source.position:
        raise source.wrong(
            f"declares the shape {shape}, {needed} bytes, and {size - source.position} follow."
        )
    values = source.numbers(kind, shape, big_endian=order == ">")
    return RawArray(source.file, source.member, kind, shape, values)
