"""Files of numbers that somebody sent: read within bounds, never unpickled, errors with places."""

from __future__ import annotations

import io
import struct
import tokenize
import zipfile
import zlib
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.sent import Form
from worker.runner.reasons import InputUnfit

MOST_ARRAY_BYTES: Final = 64 * 1024 * 1024
"""Most that an array may take once it is unpacked."""
_NAMES: Final = ("x", "inputs", "images")
_MOST_DIMENSIONS: Final = 4
# All that zipfile and zlib raise for what is not as it should be.
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError,
    OverflowError, struct.error, OSError,
)  # fmt: skip
# A header is a Python literal, and what is none fails in Python's own parser.
_HEADER_ERRORS: Final = (
    ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError,
    tokenize.TokenError,
)  # fmt: skip
_IDX_TYPES: Final = {0x08: ">u1", 0x0D: ">f4"}


def read(data: bytes, form: Form) -> NDArray[Any]:
    """The array in a file of `form`: whole numbers or floats. Raises InputUnfit."""
    match form:
        case "npz":
            return _of_npz(data)
        case "npy":
            return _of_npy(data)
        case "idx":
            return _of_idx(data)
        case _:
            return _of_csv(data)


def _of_npz(data: bytes) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = _chosen(archive)
            if member.file_size > MOST_ARRAY_BYTES:
                raise InputUnfit(
                    f"{member.filename} unpacks to {member.file_size:,} bytes; at most "
                    f"{MOST_ARRAY_BYTES:,} are read."
                )
            with archive.open(member) as file:
                # The size may be a lie: whatever is more stays packed.
                content = file.read(member.file_size + 1)
    except _ZIP_ERRORS as error:
        raise InputUnfit(f"The NPZ file cannot be unpacked: {error}.") from None
    return _of_npy(content)


def _chosen(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    arrays = {member.filename: member for member in archive.infolist()[:1000]}
    for name in _NAMES:
        if f"{name}.npy" in arrays:
            return arrays[f"{name}.npy"]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise InputUnfit(
        f"The NPZ file holds {len(arrays)} arrays and none of the names {', '.join(_NAMES)}; "
        "name the one to predict from 'x'."
    )


def _of_npy(data: bytes) -> NDArray[Any]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
        else:
            shape, fortran, kind = np.lib.format.read_array_header_2_0(file)
    except _HEADER_ERRORS as error:
        first = (str(error).splitlines() or ["it has no header"])[0]
        raise InputUnfit(f"The NumPy file is damaged: {first}") from None
    if kind.hasobject or kind.kind not in "buif":
        raise InputUnfit(f"The NumPy file holds {kind}; numbers are wanted.")
    if len(shape) > _MOST_DIMENSIONS or any(type(side) is not int or side < 0 for side in shape):
        raise InputUnfit(
            f"The NumPy file says the shape {str(shape)[:60]}; at most {_MOST_DIMENSIONS} sides "
            "are read, and none below 0."
        )
    return _array(data[file.tell() :], kind, shape, "F" if fortran else "C", "NumPy")


def _of_idx(data: bytes) -> NDArray[Any]:
    kind, dimensions = data[2], data[3]
    if kind not in _IDX_TYPES:
        raise InputUnfit(f"The IDX file holds type 0x{kind:02x}; 0x08 and 0x0d are read.")
    head = 4 + 4 * dimensions
    if not 1 <= dimensions <= _MOST_DIMENSIONS or len(data) < head:
        raise InputUnfit("The IDX file is cut off in its header, or has too many dimensions.")
    shape = struct.unpack(f">{dimensions}I", data[4:head])
    return _array(data[head:], np.dtype(_IDX_TYPES[kind]), shape, "C", "IDX")


def _array(
    content: bytes, kind: np.dtype[Any], shape: tuple[int, ...], order: Any, what: str
) -> NDArray[Any]:
    """An array over bytes that are there: nothing is allocated for what a header claims."""
    wanted = prod(shape) * kind.itemsize
    if len(content) != wanted or wanted > MOST_ARRAY_BYTES:
        raise InputUnfit(
            f"The {what} file says {' x '.join(map(str, shape)) or 'one number'}, which is "
            f"{wanted:,} bytes; it holds {len(content):,}, and at most {MOST_ARRAY_BYTES:,} are "
            "read."
        )
    return np.frombuffer(content, kind).reshape(shape, order=order)


def _of_csv(data: bytes) -> NDArray[Any]:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputUnfit(f"The CSV file is no text at byte {error.start}.") from None
    rows: list[list[float]] = []
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        cells = line.replace(";", ",").replace("\t", ",").split(",")
        try:
            row = [float(cell) for cell in cells]
        except ValueError:
            # The names of the columns; a number among them is an example with something amiss.
            if place == 1 and not any(map(_is_number, cells)):
                continue
            raise InputUnfit(f"CSV line {place} holds something that is no number.") from None
        if rows and len(row) != len(rows[0]):
            raise InputUnfit(
                f"CSV line {place} has {len(row)} numbers, the lines before it {len(rows[0])}."
            )
        rows.append(row)
    if not rows:
        raise InputUnfit("The CSV file has no line of numbers.")
    return np.array(rows, np.float64)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
