"""Pictures as PNG files, and many small ones laid out in one."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.png import decoded
from worker.runner import png, tiles


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 1), (4, 2, 3)])
def test_it_works(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decoded(png.encode(pixels)), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((2, 2, 1), np.float32),
        np.zeros((0, 2, 1), np.uint8),
    ],
    ids=["two channels", "flat", "floats", "empty"],
)  # fmt: skip
def test_what_is_no_picture_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"pixel"):
        png.encode(pixels)


def test_rows_and_columns_stay_where_they_are() -> None:
    images = np.zeros((2, 3, 150, 100, 1), np.float32)
    images[1, 2] = 1.0
    images[0, 1] = 0.5
    picture = tiles.lay_out(images)
    assert picture.shape == (301, 302, 1), "as large as it is, so not magnified"
    assert (picture[151:, 202:] == 255).all() and (picture[:150, 101:201] == 128).all()
    assert (picture[:150, :100] == 0).all()
    assert (picture[150] == 128).all() and (picture[:, 100] == 128).all(), "lines between them"


def test_small_pictures_are_magnified_and_values_cut_off() -> None:
    images = np.array([-3.0, 7.0], np.float32).reshape(1, 2, 1, 1, 1)
    picture = tiles.lay_out(images)
    assert picture.shape == (128, 384, 1)
    assert (picture[:, :128] == 0).all() and (picture[:, 256:] == 255).all()


def test_a_picture_has_a_bound() -> None:
    tiles.lay_out(np.zeros((1, 1, 1024, 1024, 1), np.float32))
    with pytest.raises(ValueError, match="1025 x 8 pixels are more than 1024"):
        tiles.lay_out(np.zeros((1, 1, 8, 1025, 1), np.float32))


def test_columns_fit_what_there_is_and_the_bound() -> None:
    assert tiles.columns_for(3, 8) == 3
    assert tiles.columns_for(24, 8) == 8
    assert tiles.columns_for(24, 300) == 3
    assert tiles.columns_for(24, 1024) == 1
