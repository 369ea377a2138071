"""Kept files as the arrays that a data set gives; loads NumPy, so only runners import it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labpool.readers import Limits
from labpool.readers.keeping import read
from labpool.sdk import Examples


def examples_of(path: Path, limits: Limits, classes: int) -> Examples:
    """The examples of a file that `readers.keeping` wrote. Raises BadData."""
    x, y = read(path, limits)
    values = np.frombuffer(x.values, np.uint8 if x.kind == "u1" else np.float32)
    numbers = values.reshape(x.shape).astype(np.float32)
    if x.kind == "u1":
        numbers /= np.float32(255.0)
    return Examples(numbers, np.frombuffer(y.values, np.intc).astype(np.int64), classes)
