"""Pictures of one shape each, with where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Examples, Unsuitable

SHAPES: Final = ("disc", "square", "triangle", "cross")
"""Their class numbers are their places here."""
LIMIT_BYTES = 2 * 1024**3
Plane: TypeAlias = NDArray[np.float64]
"""A number for each pixel of a picture [size, size]."""


def load(parameters: Mapping[str, Any]) -> Examples:
    """[examples, size, size, 1] in 0..1, with boxes and masks. Raises Unsuitable, see LIMIT_BYTES.

    The masks are what was painted, and each box is the smallest around its mask.
    """
    count, size = parameters["examples"], parameters["size"]
    needed_bytes = count * size * size * (np.dtype(np.float32).itemsize + np.dtype(int).itemsize)
    if needed_bytes > LIMIT_BYTES:
        raise Unsuitable(f"{needed_bytes} bytes of pictures and masks; the limit is {LIMIT_BYTES}")
    random = np.random.default_rng(parameters["seed"])
    labels = np.arange(count, dtype=np.int64) % len(SHAPES)
    x = np.empty((count, size, size, 1), np.float32)
    masks = np.zeros((count, size, size), np.int64)
    for index, label in enumerate(labels):
        picture, inside = _picture(random, SHAPES[label], size, parameters["clutter"])
        picture += random.normal(0.0, parameters["noise"], picture.shape)
        x[index, :, :, 0] = np.clip(picture, 0.0, 1.0)
        masks[index][inside] = 1 + label
    return Examples(x, labels, len(SHAPES), _boxes(masks), masks)


def _picture(
    random: np.random.Generator, shape: str, size: int, strokes: int
) -> tuple[Plane, NDArray[np.bool_]]:
    """A picture [size, size] without noise, and which of its pixels are the shape."""
    # Places of the pixels' centres; the picture goes from 0 to 1 both ways.
    down, across = (np.mgrid[:size, :size] + 0.5) / size
    ground = random.uniform(0.1, 0.9)
    slope = random.uniform(-0.15, 0.15, 2)
    picture = ground + slope[0] * (down - 0.5) + slope[1] * (across - 0.5)
    for _ in range(strokes):
        picture[_stroke(random, down, across, width=1 / size)] = random.uniform(0.0, 1.0)
    reach = random.uniform(0.15, 0.35)
    middle = random.uniform(reach, 1 - reach, 2)
    inside = _inside(shape, (down - middle[0]) / reach, (across - middle[1]) / reach)
    contrast = random.uniform(0.3, 0.6)
    picture[inside] = ground + contrast if ground < 0.5 else ground - contrast
    return picture, inside


def _stroke(
    random: np.random.Generator, down: Plane, across: Plane, width: float
) -> NDArray[np.bool_]:
    """Which pixels a straight stroke at a random place covers."""
    start, angle = random.uniform(0.0, 1.0, 2), random.uniform(0.0, np.pi)
    along: Plane = (down - start[0]) * np.sin(angle) + (across - start[1]) * np.cos(angle)
    beside: Plane = (down - start[0]) * np.cos(angle) - (across - start[1]) * np.sin(angle)
    long: NDArray[np.bool_] = np.abs(along) < random.uniform(0.1, 0.3)
    return long & (np.abs(beside) < width / 2)


def _inside(shape: str, down: Plane, across: Plane) -> NDArray[np.bool_]:
    """Which pixels are the shape, which reaches from -1 to 1 both ways."""
    framed: NDArray[np.bool_] = np.maximum(np.abs(down), np.abs(across)) <= 1.0
    match shape:
        case "disc":
            return framed & (down**2 + across**2 <= 1.0)
        case "square":
            return framed
        case "triangle":
            return framed & (np.abs(across) <= (1.0 + down) / 2)
        case _:
            return framed & (np.minimum(np.abs(down), np.abs(across)) <= 1 / 3)


def _boxes(masks: NDArray[np.int64]) -> NDArray[np.float32]:
    """[n, 4]: centre x, centre y, width, height of the smallest box around each mask, as shares."""
    painted = masks > 0
    left, right = _ends(np.logical_or.reduce(painted, axis=1))
    top, bottom = _ends(np.logical_or.reduce(painted, axis=2))
    edges = np.stack([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)], axis=1)
    boxes: NDArray[np.float32] = (edges / (2 * masks.shape[1])).astype(np.float32)
    return boxes


def _ends(covered: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of each row of [n, size]: where it is covered first, and where it is no more."""
    return covered.argmax(axis=1), covered.shape[1] - covered[:, ::-1].argmax(axis=1)
