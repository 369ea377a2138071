"""A reader of PNG files that shares nothing with what writes them."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def decoded(content: bytes) -> NDArray[np.uint8]:
    """What any reader of the format would show; its checksums are checked too."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, rest = {}, content[8:]
    while rest:
        [length] = struct.unpack(">I", rest[:4])
        body, [checksum] = rest[4 : 8 + length], struct.unpack(">I", rest[8 + length : 12 + length])
        assert zlib.crc32(body) == checksum
        chunks[body[:4]] = body[4:]
        rest = rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, depth, colour, *others = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert depth == 8 and others == [0, 0, 0]
    channels = {0: 1, 2: 3}[colour]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not rows[:, 0].any(), "no filters"
    return rows[:, 1:].reshape(height, width, channels)
