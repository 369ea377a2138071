"""Pictures of a data set, drawn byte by byte: a sheet of examples by class, a scatter of points.

Plain Python like the readers, so the process that reads an upload can draw it too.
"""

from __future__ import annotations

import struct
import zlib
from math import prod

from labpool.readers.labelled import Labelled

ACROSS = 12
"""Examples of a class in a row of the sheet."""
MOST_CLASSES, MOST_POINTS = 40, 4000
_CELL, _GAP, _SIDE, _MARGIN = 40, 3, 480, 20
_WHITE = 255
# Told apart also by who sees few colours.
_COLOURS = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (213, 94, 0), (86, 180, 233),
    (120, 94, 240), (120, 120, 120), (150, 110, 0), (0, 60, 60),
)  # fmt: skip


def picture_of(examples: Labelled) -> bytes | None:
    """A PNG: examples of each class for images, points for vectors of two numbers; else None."""
    if examples.kind == "image":
        return _sheet(examples)
    return _scatter(examples) if examples.shape == (2,) else None


def _sheet(examples: Labelled) -> bytes:
    """A row a class, the first examples of each from left to right."""
    height, width, channels = examples.shape
    rows = [
        [at for at, label in enumerate(examples.y) if label == number][:ACROSS]
        for number in range(min(examples.classes, MOST_CLASSES))
    ]
    # Small pictures are shown larger by a whole number, large ones by leaving pixels out.
    zoom = max(1, _CELL // max(height, width))
    skip = max(1, max(height, width) // (2 * _CELL))
    cell_height, cell_width = (height // skip) * zoom, (width // skip) * zoom
    canvas = _Canvas(
        ACROSS * (cell_width + _GAP) + _GAP, len(rows) * (cell_height + _GAP) + _GAP
    )  # fmt: skip
    scale = 1 if examples.x.typecode == "B" else 255
    size = prod(examples.shape)
    for down, found in enumerate(rows):
        for across, at in enumerate(found):
            pixels = examples.x[at * size : (at + 1) * size]
            left, top = _GAP + across * (cell_width + _GAP), _GAP + down * (cell_height + _GAP)
            for row in range(height // skip):
                line = bytearray()
                for column in range(width // skip):
                    begin = (row * skip * width + column * skip) * channels
                    line += _colour(pixels[begin : begin + channels], scale) * zoom
                for again in range(zoom):
                    canvas.line(left, top + row * zoom + again, line)
    return canvas.png()


def _colour(values: object, scale: int) -> bytes:
    numbers = [min(255, max(0, int(value * scale))) for value in values]  # type: ignore[attr-defined]
    return bytes(numbers[:3] if len(numbers) >= 3 else numbers[:1] * 3)


def _scatter(examples: Labelled) -> bytes:
    points = min(len(examples.y), MOST_POINTS)
    across, down = examples.x[0 : 2 * points : 2], examples.x[1 : 2 * points : 2]
    canvas = _Canvas(_SIDE, _SIDE)
    for x, y, label in zip(_placed(across), _placed(down), examples.y, strict=False):
        colour = bytes(_COLOURS[label % len(_COLOURS)]) * 3
        for row in range(3):
            canvas.line(x - 1, _SIDE - y - 2 + row, bytearray(colour))
    return canvas.png()


def _placed(values: object) -> list[int]:
    numbers = [float(value) for value in values]  # type: ignore[attr-defined]
    least, most = min(numbers), max(numbers)
    room = (_SIDE - 2 * _MARGIN) / ((most - least) or 1.0)
    return [_MARGIN + int((number - least) * room) for number in numbers]


class _Canvas:
    """White pixels of three bytes."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._pixels = bytearray([_WHITE]) * (3 * width * height)

    def line(self, left: int, top: int, colours: bytearray) -> None:
        """Pixels from a place to the right."""
        begin = 3 * (top * self._width + left)
        self._pixels[begin : begin + len(colours)] = colours

    def png(self) -> bytes:
        """All of it as a PNG."""
        row = 3 * self._width
        lines = (self._pixels[at : at + row] for at in range(0, len(self._pixels), row))
        content = zlib.compress(b"".join(b"\0" + bytes(line) for line in lines), 6)
        head = struct.pack(">IIBBBBB", self._width, self._height, 8, 2, 0, 0, 0)
        parts = [_chunk(b"IHDR", head), _chunk(b"IDAT", content), _chunk(b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
