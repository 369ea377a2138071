"""Pictures made of one smooth pattern a class, and noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import Examples, Unsuitable

LIMIT_BYTES = 2 * 1024**3


def load(parameters: Mapping[str, Any]) -> Examples:
    """[examples, height, width, channels] in 0..1. Raises Unsuitable beyond LIMIT_BYTES."""
    count, classes = parameters["examples"], parameters["classes"]
    shape = (parameters["height"], parameters["width"], parameters["channels"])
    needed_bytes = count * int(np.prod(shape)) * np.dtype(np.float32).itemsize
    if needed_bytes > LIMIT_BYTES:
        raise Unsuitable(f"{needed_bytes} bytes of pictures; the limit is {LIMIT_BYTES}")
    random = np.random.default_rng(parameters["seed"])
    patterns = _patterns(random, classes, shape)
    labels = random.permutation(np.arange(count) % classes).astype(np.int64)
    x = random.standard_normal((count, *shape), dtype=np.float32)
    x *= np.float32(parameters["noise"])
    x += patterns[labels]
    return Examples(np.clip(x, 0.0, 1.0, out=x), labels, classes)


def _patterns(
    random: np.random.Generator, classes: int, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """[classes, *shape]: a sum of three slow waves a class and channel, scaled to 0..1."""
    height, width, channels = shape
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    columns = np.linspace(0.0, 1.0, width)[None, :, None]
    patterns = np.zeros((classes, *shape))
    for _ in range(3):
        # Each [classes, 1, 1, channels]: how often a wave goes down, across, and where it begins.
        draw = random.uniform((0, 0, 0), (2, 2, 1), (classes, 1, 1, channels, 3))
        down, across, phase = draw[..., 0], draw[..., 1], draw[..., 2]
        waves = rows * down + columns * across + phase
        patterns += np.sin(2 * np.pi * waves)
    lowest = patterns.min(axis=(1, 2, 3), keepdims=True)
    highest = patterns.max(axis=(1, 2, 3), keepdims=True)
    scaled: NDArray[np.float32] = ((patterns - lowest) / (highest - lowest)).astype(np.float32)
    return scaled
