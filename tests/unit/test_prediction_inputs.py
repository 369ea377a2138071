"""Somebody's own pictures and files of numbers, as a runner reads them."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labpool.dataset_form import Ink
from labpool.sdk import DataShape
from labpool.sent import NotTaken
from tests.support.images import grey_png, jpeg
from tests.support.runners import CATALOG
from worker.runner import backend, inputs, number_files, own_pictures
from worker.runner.reasons import InputUnfit

DIGITS = DataShape("image", (8, 8, 1), 10)
DARK, LIGHT = Ink(ground="dark"), Ink(ground="light")


def saved(save: Callable[[Any], Any]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


SHAPED = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s)}"


def npy_of(header: str) -> bytes:
    """The head of an NPY file that says `header`."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


def spoilt_npz() -> bytes:
    """Its directory is whole, what is packed is not."""
    content = bytearray(saved(lambda file: np.savez_compressed(file, x=np.arange(999.0))))
    content[60:80] = b"\xff" * 20
    return bytes(content)


def stroke(side: int = 100) -> NDArray[np.uint8]:
    """A black bar upright on white paper, off the middle."""
    paper = np.full((side, side, 1), 255, np.uint8)
    paper[side // 5 : side // 2, side // 10 : side // 5] = 0
    return paper


def test_it_works() -> None:
    fitted = own_pictures.fit(stroke(), (8, 8, 1), DARK, "auto")
    assert fitted.pixels.shape == (8, 8, 1)
    assert (fitted.turned_over, fitted.cut_to_ink) == (True, True)
    assert fitted.pixels[:, 4].min() > 0.5, "the bar fills the height"
    assert fitted.pixels[:, [0, 7]].max() < 0.05, "and stands in the middle"


def test_the_rule_of_light_and_dark() -> None:
    black_on_white = stroke()
    white_on_black = 255 - black_on_white
    same = [
        own_pictures.fit(picture, (8, 8, 1), DARK, "auto").pixels
        for picture in (black_on_white, white_on_black)
    ]
    assert np.allclose(*same, atol=0.01)
    for ink, picture in ((LIGHT, white_on_black), (DARK, black_on_white)):
        assert own_pictures.fit(picture, (8, 8, 1), ink, "auto").turned_over
        assert not own_pictures.fit(picture, (8, 8, 1), ink, "no").turned_over
    assert own_pictures.fit(white_on_black, (8, 8, 1), DARK, "yes").turned_over
    # Without an even ground nothing is guessed.
    assert not own_pictures.fit(black_on_white, (8, 8, 1), None, "auto").turned_over


@pytest.mark.parametrize(("name", "free"), [("digits", 0.0), ("mnist", 4 / 28)])
def test_digits_are_drawn_as_large_as_the_data_sets_own(name: str, free: float) -> None:
    entry = CATALOG.datasets[name]
    height, width, _ = entry.shape
    fitted = own_pictures.fit(stroke(280), entry.shape, entry.ink, "auto")
    assert (fitted.turned_over, fitted.cut_to_ink) == (True, True)
    rows = np.flatnonzero(fitted.pixels.max(axis=(1, 2)) > 0.5)
    columns = np.flatnonzero(fitted.pixels.max(axis=(0, 2)) > 0.5)
    assert (rows[0], height - 1 - rows[-1]) == (round(free * height), round(free * height))
    assert abs((columns[0] + columns[-1]) - (width - 1)) <= 1, "in the middle"


def test_what_covers_most_of_its_picture_is_ink_all_the_same() -> None:
    entry = CATALOG.datasets["fashion_mnist"]
    shirt = np.full((200, 200, 1), 250, np.uint8)
    shirt[10:190, 20:180] = 120
    shirt[10:190, 90:110] = 40
    fitted = own_pictures.fit(shirt, entry.shape, entry.ink, "auto").pixels[..., 0]
    assert fitted[:, 4:24].min() > 0.5, "the whole shirt is light on dark"
    assert fitted[:, 13:15].min() > 0.95 and fitted[:, :1].max() < 0.05


def test_a_picture_of_the_data_sets_own_size_is_taken_as_it_is() -> None:
    own = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    fitted = own_pictures.fit(own, (8, 8, 1), DARK, "auto")
    assert np.allclose(fitted.pixels, own / 255)
    assert not fitted.cut_to_ink


@pytest.mark.parametrize(("channels", "wanted"), [(1, 3), (2, 1), (3, 1), (4, 3), (3, 3), (4, 1)])
def test_colours_become_what_the_model_takes(channels: int, wanted: int) -> None:
    picture = np.full((20, 30, channels), 200, np.uint8)
    if channels in (2, 4):
        picture[..., -1] = 0
    fitted = own_pictures.fit(picture, (8, 8, wanted), None, "auto")
    assert fitted.pixels.shape == (8, 8, wanted)
    expected = 1.0 if channels in (2, 4) else 200 / 255
    assert np.allclose(fitted.pixels, expected, atol=1e-3), "what is transparent is paper"


def test_blank_paper_and_thin_pictures() -> None:
    for picture in (np.zeros((50, 50, 1)), np.full((1, 700, 1), 255), np.full((700, 1, 3), 9)):
        fitted = own_pictures.fit(picture.astype(np.uint8), (8, 8, 1), DARK, "auto")
        assert np.isfinite(fitted.pixels).all()
        assert fitted.pixels.max() < 0.1


def test_a_large_picture_takes_little_memory() -> None:
    large = np.zeros((4000, 4000, 3), np.uint8)
    tracemalloc.start()
    own_pictures.fit(large, (8, 8, 1), DARK, "auto")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 64 * 1024 * 1024


def test_decoding() -> None:
    backend.prepare(1)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7), np.uint8)
    assert np.array_equal(own_pictures.decode(grey_png(pixels), "png")[..., 0], pixels)
    assert own_pictures.decode(jpeg(pixels), "jpeg").shape == (9, 7, 3)
    whole = grey_png(np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8))
    for cut in (whole[:-30], whole[:60], whole[:40] + bytes(100)):
        with pytest.raises((InputUnfit, NotTaken)):
            own_pictures.decode(cut, "png")
    # A header that promises what the data do not hold.
    liar = whole[:16] + struct.pack(">II", 4000, 4000) + whole[24:]
    with pytest.raises(InputUnfit):
        own_pictures.decode(liar, "png")


@pytest.mark.parametrize(
    ("form", "data", "words"),
    [
        ("npz", b"PK\x03\x04", "cannot be unpacked"),
        ("npz", saved(lambda f: np.savez(f, a=np.zeros(3), b=np.zeros(3))), "2 arrays and none"),
        ("npy", saved(lambda f: np.save(f, np.array(["a"]))), "numbers are wanted"),
        ("npy", saved(lambda f: np.save(f, np.array([{}], object), allow_pickle=True)),
         "numbers are wanted"),
        ("npy", saved(lambda f: np.save(f, np.zeros((4, 64))))[:-8], "it holds"),
        ("npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8'}", "damaged"),
        ("npy", b"\x93NUMPY\x09\x00", "damaged"),
        ("npy", saved(lambda f: np.lib.format.write_array_header_1_0(
            f, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 64)})), "it holds 0"),
        ("idx", b"\x00\x00\x08\x09", "cut off in its header"),
        ("idx", b"\x00\x00\x0b\x01\x00\x00\x00\x01", "type 0x0b"),
        ("idx", b"\x00\x00\x08\x02" + struct.pack(">2I", 2**31, 2**31), "it holds 0"),
        ("csv", b"\xff\xfe1,2", "no text at byte 0"),
        ("csv", b"a,b\n", "no line of numbers"),
        ("csv", b"1,2\nx,3\n", "line 2"),
        ("csv", b"1,2x\n1,2\n", "line 1 holds something that is no number"),
        ("npz", spoilt_npz(), "cannot be unpacked"),
        ("npy", npy_of("-" * 5000), "damaged"),
        ("npy", npy_of("{'shape': ((("), "damaged"),
        ("npy", npy_of(SHAPED % "-1, -4") + b"abcd", "none below 0"),
        ("npy", npy_of(SHAPED % "True,") + b"a", "none below 0"),
        ("npy", npy_of(SHAPED % ("1, " * 70)) + b"a", "at most 4 sides"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_with_the_place(form: Any, data: bytes, words: str) -> None:
    with pytest.raises(InputUnfit, match=words):
        number_files.read(data, form)


def test_a_zip_bomb_is_not_unpacked() -> None:
    def bomb(file: Any) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", bytes(number_files.MOST_ARRAY_BYTES + 1))

    data = saved(bomb)
    assert len(data) < 100_000
    tracemalloc.start()
    with pytest.raises(InputUnfit, match="unpacks to"):
        number_files.read(data, "npz")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    # The directory may lie about it; then only as much as it says is read.
    size = struct.pack("<I", number_files.MOST_ARRAY_BYTES + 1)
    with pytest.raises(InputUnfit):
        number_files.read(data.replace(size, struct.pack("<I", 100)), "npz")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([[0.5] * 63], "It holds 1 x 63"),
        ([2.0] * 64, "numbers in\n?.*0..1"),
        ([-0.5] * 64, "numbers in"),
    ],
)
def test_numbers_must_be_like_the_data(numbers: Any, words: str) -> None:
    with pytest.raises((InputUnfit, NotTaken), match=words):
        inputs.read(json.dumps(numbers).encode(), "numbers", {}, DIGITS, DARK)


def test_numbers_that_are_none() -> None:
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        rows = np.zeros((3, 2))
        rows[1, 1] = bad
        data = saved(lambda file, rows=rows: np.save(file, rows))
        with pytest.raises(InputUnfit, match="Example 2 holds a number that is not finite"):
            inputs.read(data, "npy", {}, DataShape("vector", (2,), 2), None)


def test_bytes_are_scaled_for_pictures_alone() -> None:
    data = saved(lambda file: np.save(file, np.full((1, 64), 255, np.uint8)))
    assert inputs.read(data, "npy", {}, DIGITS, DARK).x.max() == 1.0
    vectors = DataShape("vector", (64,), 2)
    assert inputs.read(data, "npy", {}, vectors, None).x.max() == 255.0
    with pytest.raises(InputUnfit, match="rows of 64 numbers"):
        inputs.read(grey_png(np.zeros((8, 8), np.uint8)), "png", {}, vectors, None)
