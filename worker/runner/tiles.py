"""Many small pictures laid out in one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_SIDE = 1024
"""Pixels of a laid-out picture's longer side: with three channels at most 3 MiB of them."""
WIDE_ENOUGH = 384
"""Small tiles are magnified, by a whole factor, while the whole stays within this."""
GAP = 1
_PAPER = 128


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether one example of `shape` can be shown: [h, w, 1 or 3], not too large."""
    return len(shape) == 3 and shape[2] in (1, 3) and max(shape[:2]) <= MOST_SIDE


def columns_for(count: int, width: int) -> int:
    """How many tiles of `width` pixels stand beside each other when `count` are laid out."""
    return max(1, min(count, 8, (MOST_SIDE + GAP) // (width + GAP)))


def lay_out(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`images` [rows, columns, h, w, c] in 0..1 as one picture [height, width, c].

    A grey line of a pixel stands between two of them. What is below 0 or above 1 is cut off.
    Raises ValueError when the picture would have more than MOST_SIDE pixels on a side.
    """
    rows, columns, height, width, channels = images.shape
    full = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP)
    if max(full) > MOST_SIDE:
        raise ValueError(f"{full[1]} x {full[0]} pixels are more than {MOST_SIDE} on a side")
    paper = np.full((rows, height + GAP, columns, width + GAP, channels), _PAPER, np.uint8)
    shown = np.rint(np.clip(images, 0.0, 1.0) * 255.0).astype(np.uint8)
    paper[:, :height, :, :width] = shown.transpose(0, 2, 1, 3, 4)
    picture = paper.reshape(rows * (height + GAP), columns * (width + GAP), channels)
    zoom = magnified(full)
    return picture[: full[0], : full[1]].repeat(zoom, axis=0).repeat(zoom, axis=1)


def magnified(size: tuple[int, int]) -> int:
    """By which whole factor a picture of `size` (height, width) is shown larger."""
    return max(1, WIDE_ENOUGH // max(size))
