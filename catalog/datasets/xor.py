"""The truth table of the slide, row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labpool.sdk import Examples


def load(parameters: Mapping[str, Any]) -> Examples:
    """[4, 3]: two inputs and a constant 1, which gives the neurons their offset."""
    del parameters  # it has none
    x = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)
    return Examples(x, np.array([0, 1, 1, 0], np.int64), classes=2)
