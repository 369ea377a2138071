"""Picture files for tests, written by TensorFlow, and drawings made of a data set's own digits."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.runner import backend


def grey_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file of [height, width] bytes, written by hand: 8 bits, grey."""
    height, width = pixels.shape
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG file of [height, width] bytes, in colour as cameras write it."""
    # Before TensorFlow runs anything: its threads cannot be set afterwards, in whichever test.
    backend.prepare(1)
    import tensorflow as tf

    coloured = np.repeat(pixels[..., None], 3, axis=2)
    written: Any = tf.io.encode_jpeg(coloured, quality=90)
    return bytes(written.numpy())


def black_on_white(image: NDArray[Any], side: int, margin: int) -> NDArray[np.uint8]:
    """A digit [8, 8] in 0..1, light on dark, as dark ink on a sheet of [side, side]."""
    inner = side - 2 * margin
    place = (np.arange(inner) + 0.5) * 8 / inner - 0.5
    low = np.clip(np.floor(place).astype(int), 0, 7)
    high = np.clip(low + 1, 0, 7)
    share = np.clip(place - low, 0, 1)
    rows = image[low] * (1 - share)[:, None] + image[high] * share[:, None]
    ink = rows[:, low] * (1 - share) + rows[:, high] * share
    sheet = np.zeros((side, side))
    sheet[margin : margin + inner, margin : margin + inner] = ink
    return np.round(255 * (1 - sheet)).astype(np.uint8)
