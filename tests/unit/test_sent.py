"""What somebody sent to be predicted, known by its first bytes, in the server's process."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from labpool.sent import (
    MOST_EXAMPLES,
    MOST_PIXELS,
    NotTaken,
    check_picture,
    count_of,
    form_of,
    layouts_of,
)
from tests.support.images import grey_png, jpeg


def png_head(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)


def test_it_works() -> None:
    pixels = np.zeros((7, 9), np.uint8)
    assert check_picture(grey_png(pixels), "png") == (9, 7)
    assert check_picture(jpeg(pixels), "jpeg") == (9, 7)


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (png_head(1, 1), "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"PK\x03\x04rest", "npz"),
        (b"\x93NUMPY\x01\x00", "npy"),
        (b"\x00\x00\x08\x03" + bytes(12), "idx"),
        (b"a,b\n1,2\n", "csv"),
        (b"-1e-3;2\t3", "csv"),
    ],
)
def test_forms(data: bytes, form: str) -> None:
    assert form_of(data) == form


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"  <svg>", b"\x00\x01", b"{}", b"%PDF-1.7"])
def test_what_is_not_taken(data: bytes) -> None:
    with pytest.raises(NotTaken):
        form_of(data)


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (50_000, 50_000, "50,000 x 50,000"),
        (2**32 - 1, 2**32 - 1, "at most"),
        (0, 10, "no pixels"),
        (MOST_PIXELS + 1, 1, "at most"),
    ],
)
def test_sizes_are_bounded_before_anything_is_decoded(width: int, height: int, words: str) -> None:
    with pytest.raises(NotTaken, match=words):
        check_picture(png_head(width, height), "png")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x04ab",
        b"\xff\xd8\xff\xe0\x00\x00" * 3,
        b"\xff\xd8" + b"\xff" * 1000,
        b"\xff\xd8\xff\xda\x00\x08",
        b"\xff\xd8\xff\xc3\x00\x11\x08\x00\x01\x00\x01\x03",
    ],
)
def test_damaged_jpegs_end_the_search(data: bytes) -> None:
    with pytest.raises(NotTaken):
        check_picture(data, "jpeg")


def test_layouts() -> None:
    assert layouts_of((8, 8, 1)) == [(8, 8, 1), (64,), (8, 8)]
    assert layouts_of((2,)) == [(2,)]
    for found, count in (((8, 8), 1), ((64,), 1), ((5, 64), 5), ((5, 8, 8, 1), 5), ((8, 8, 1), 1)):
        assert count_of(found, (8, 8, 1)) == count
    for wrong in ((), (8,), (63,), (8, 8, 3), (5, 5, 8, 8), (0, 64), (MOST_EXAMPLES + 1, 64)):
        with pytest.raises(NotTaken):
            count_of(wrong, (8, 8, 1))
