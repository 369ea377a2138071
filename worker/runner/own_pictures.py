"""Somebody's own picture, made like those that a model was trained on.

The rule, for data sets of ink on an even ground (`[ink]` in their TOML):

1. What is transparent is paper. Colour becomes grey where the data set is grey.
2. If the outermost ring of pixels is light on average and the data set's ground is dark, or the
   other way round, the picture is turned over: black ink on white paper becomes light on dark.
3. A picture that has not the size of the data set's own is cut to its ink, set into the middle of a
   square with the data set's margin, and its darkest ink is made as dark as can be.
4. It is made small by averaging over areas, to the data set's own size, with values in 0..1.

For other data sets only 1 and 4, after the middle is cut out in the data set's proportions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labpool.dataset_form import Ink
from labpool.sent import Form, check_picture
from worker.runner.reasons import InputUnfit

TurnOver = Literal["auto", "yes", "no"]
Floats = NDArray[np.float32]

WORKING_SIDE = 512
"""Larger pictures are made smaller first, so that no later step takes much memory."""
# Less than this share of the strongest ink is paper.
INK_FROM = 0.25
# Paper and ink must differ by this much, or there is no ink at all.
LEAST_CONTRAST = 0.1
_STRIP_ROWS = 64
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Fitted:
    """A picture [height, width, channels] in 0..1, and what was done to it."""

    pixels: Floats
    turned_over: bool = False
    cut_to_ink: bool = False


def decode(data: bytes, form: Form) -> NDArray[np.uint8]:
    """[height, width, 1..4] of a PNG or JPEG file. Raises NotTaken, InputUnfit.

    The header is believed for the size, and checked before anything is allocated.
    """
    import tensorflow as tf

    width, height = check_picture(data, form)
    try:
        if form == "png":
            decoded = tf.io.decode_png(data, channels=0)
        else:
            decoded = tf.io.decode_jpeg(data, channels=0)
    except tf.errors.InvalidArgumentError:
        raise InputUnfit(
            f"The {form.upper()} file cannot be decoded: it is cut off or damaged."
        ) from None
    pixels: NDArray[np.uint8] = decoded.numpy()
    if pixels.shape[:2] != (height, width):
        raise InputUnfit(f"The {form.upper()} file is not of the size that its header says.")
    return pixels


def fit(
    pixels: NDArray[np.uint8], shape: tuple[int, ...], ink: Ink | None, turn_over: TurnOver
) -> Fitted:
    """`pixels` [h, w, 1..4] as one example of `shape` (height, width, channels)."""
    height, width, channels = shape
    is_own_size = pixels.shape[:2] == (height, width)
    picture = _to_channels(_working_copy(pixels), channels)
    if ink is None:
        turned = turn_over == "yes"
        picture = 1 - picture if turned else picture
        picture = picture if is_own_size else _middle(picture, height / width)
        return Fitted(_shrink(picture, height, width), turned)
    turned = _is_turned(picture, ink) if turn_over == "auto" else turn_over == "yes"
    if turned:
        picture = 1 - picture
    if is_own_size:
        return Fitted(picture, turned)
    cut = _cut_to_ink(picture, ink)
    return Fitted(_shrink(cut, height, width), turned, cut_to_ink=cut is not picture)


def _working_copy(pixels: NDArray[np.uint8]) -> Floats:
    """In 0..1, at most WORKING_SIDE high and wide."""
    height, width = pixels.shape[:2]
    factor = min(1.0, WORKING_SIDE / max(height, width))
    smaller = _shrink(pixels, max(1, round(height * factor)), max(1, round(width * factor)))
    scaled: Floats = smaller / np.float32(255)
    return scaled


def _to_channels(picture: Floats, channels: int) -> Floats:
    """Without transparency, and grey or coloured as wanted. Raises InputUnfit for neither."""
    if picture.shape[2] in (2, 4):
        # White shows through.
        opaque, alpha = picture[..., :-1], picture[..., -1:]
        picture = opaque * alpha + (1 - alpha)
    if channels == 1 and picture.shape[2] == 3:
        grey: Floats = (picture @ _GREY)[..., None]
        return grey
    if channels == 3 and picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    if channels != picture.shape[2]:
        raise InputUnfit(
            f"The model takes {channels} values a pixel, which no picture file has; send numbers."
        )
    return picture


def _ring(picture: Floats) -> Floats:
    """The outermost pixels, in a row."""
    sides = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    return np.concatenate([side.reshape(-1) for side in sides])


def _is_turned(picture: Floats, ink: Ink) -> bool:
    is_light = float(_ring(picture).mean()) > 0.5
    return is_light == (ink.ground == "dark")


def _cut_to_ink(picture: Floats, ink: Ink) -> Floats:
    """The ink in the middle of a square; the picture itself where there is none."""
    strength = picture if ink.ground == "dark" else 1 - picture
    # What there is most of is paper; but a garment covers most of its picture, and then the rim is.
    paper = min(np.median(strength), np.median(_ring(strength)))
    strength = np.clip(strength - paper, 0, None)
    strongest = float(strength.max())
    if strongest < LEAST_CONTRAST:
        return picture
    strength = strength / np.float32(strongest)
    is_ink = strength.max(axis=2) > INK_FROM
    rows, columns = np.flatnonzero(is_ink.any(axis=1)), np.flatnonzero(is_ink.any(axis=0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    side = round(max(bottom - top, right - left) / (1 - 2 * ink.margin))
    square = np.zeros((side, side, picture.shape[2]), np.float32)
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    square[y : y + bottom - top, x : x + right - left] = strength[top:bottom, left:right]
    return square if ink.ground == "dark" else 1 - square


def _middle(picture: Floats, proportion: float) -> Floats:
    """The largest part about the middle that is `proportion` times as high as wide."""
    height, width = picture.shape[:2]
    kept_height = min(height, max(1, round(width * proportion)))
    kept_width = min(width, max(1, round(height / proportion)))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return picture[top : top + kept_height, left : left + kept_width]


def _shrink(picture: NDArray[Any], height: int, width: int) -> Floats:
    """Means over areas: [h, w, channels] to [height, width, channels], as float32.

    A strip of rows at a time: a whole large picture in floats would take gigabytes.
    """
    if picture.shape[:2] == (height, width):
        return picture.astype(np.float32)
    rows = _shares(picture.shape[0], height)
    columns = _shares(picture.shape[1], width)
    made = np.zeros((height, width, picture.shape[2]), np.float32)
    for start in range(0, picture.shape[0], _STRIP_ROWS):
        strip = picture[start : start + _STRIP_ROWS].astype(np.float32)
        narrow = np.einsum("xc,rck->rxk", columns, strip, optimize=True)
        made += np.einsum("yr,rxk->yxk", rows[:, start : start + _STRIP_ROWS], narrow)
    return made


def _shares(old: int, new: int) -> Floats:
    """[new, old]: how much of each old pixel is in each new one; rows add up to 1."""
    edges = np.arange(new + 1) * (old / new)
    starts = np.arange(old)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    shares = np.clip(overlap, 0, None)
    parts: Floats = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return parts
