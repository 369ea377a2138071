"""What somebody sent to be predicted, known by its first bytes and never by its name.

Nothing is decoded here: the server reads headers only. Who decodes is the runner.
"""

from __future__ import annotations

import struct
from math import prod
from typing import Final, Literal

from labpool.errors import LabpoolError

Form = Literal["numbers", "png", "jpeg", "npz", "npy", "idx", "csv"]
PICTURES: Final[frozenset[Form]] = frozenset({"png", "jpeg"})
MOST_PIXELS: Final = 16 * 1024 * 1024
"""A picture of more is refused before anything is decoded: its file may be tiny."""
MOST_EXAMPLES: Final = 10_000
TAKEN: Final = "PNG or JPEG pictures, and NPZ, NPY, IDX or CSV files of numbers"

_PNG = b"\x89PNG\r\n\x1a\n"
_IHDR_END = 24
_JPEG_SIZES = frozenset({0xC0, 0xC1, 0xC2})
_JPEG_OTHER_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_CSV_BYTES = frozenset(b"0123456789+-.eEnNaAiIfF,; \t\r\n\"'_") | frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
_LOOKED_AT = 4096


class NotTaken(LabpoolError):
    """This cannot be predicted from."""


def form_of(data: bytes) -> Form:
    """The form of an upload. Raises NotTaken, saying what it looks like and what is taken."""
    if not data:
        raise NotTaken("It is empty.")
    if data.startswith(_PNG):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"PK\x03\x04"):
        return "npz"
    if data.startswith(b"\x93NUMPY"):
        return "npy"
    if data[:2] == b"\x00\x00" and len(data) > 3 and data[2] in (0x08, 0x0D):
        return "idx"
    looks = _looks_like(data)
    if looks is None and _CSV_BYTES.issuperset(data[:_LOOKED_AT]):
        return "csv"
    raise NotTaken(f"{looks or 'It is of no known form'}. Taken are {TAKEN}.")


def _looks_like(data: bytes) -> str | None:
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "It is a GIF, which may be animated"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "It is a WebP picture"
    if data.lstrip()[:1] == b"<":
        return "It is SVG, HTML or XML, which is text and no picture of pixels"
    return None


def check_picture(data: bytes, form: Form) -> tuple[int, int]:
    """(width, height) that a picture's header says. Raises NotTaken beyond MOST_PIXELS."""
    width, height = _png_size(data) if form == "png" else _jpeg_size(data)
    if width < 1 or height < 1:
        raise NotTaken("The picture has no pixels.")
    if width * height > MOST_PIXELS:
        raise NotTaken(
            f"The picture is {width:,} x {height:,} pixels; at most {MOST_PIXELS:,} are read. "
            "Make it smaller."
        )
    return width, height


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < _IHDR_END or data[12:16] != b"IHDR":
        raise NotTaken("The PNG file is cut off or damaged: it has no header.")
    width, height = struct.unpack(">II", data[16:_IHDR_END])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            break
        marker = data[place + 1]
        if marker == 0xFF or marker in _JPEG_ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_OTHER_FRAMES:
            raise NotTaken("The JPEG file is of a rare kind (lossless or arithmetic coding).")
        length = int.from_bytes(data[place + 2 : place + 4])
        if marker in _JPEG_SIZES and place + 9 <= len(data):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        if marker == 0xDA or length < 2:
            break
        place += 2 + length
    raise NotTaken("The JPEG file is cut off or damaged: its size is not in it.")


def layouts_of(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """How one example of `shape` may be laid out: as it is, flat, and grey without its channel."""
    found = [shape, (prod(shape),)]
    if len(shape) == 3 and shape[2] == 1:
        found.append(shape[:2])
    return list(dict.fromkeys(found))


def count_of(found: tuple[int, ...], shape: tuple[int, ...]) -> int:
    """How many examples of `shape` an array of the shape `found` holds. Raises NotTaken."""
    layouts = layouts_of(shape)
    count = 1 if found in layouts else found[0] if found[1:] in layouts else None
    if count is None:
        taken = " or ".join(" x ".join(map(str, layout)) for layout in layouts)
        says = " x ".join(map(str, found)) or "a single number"
        raise NotTaken(f"It holds {says}; an example of this model's data is {taken}.")
    if not 1 <= count <= MOST_EXAMPLES:
        raise NotTaken(f"It holds {count:,} examples; 1 to {MOST_EXAMPLES:,} are taken.")
    return count
