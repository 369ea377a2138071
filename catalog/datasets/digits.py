"""Real handwritten digits from scikit-learn's own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from labpool.sdk import Examples

_RANGES = {"all": (0, 10), "low": (0, 5), "high": (5, 10)}


def load(parameters: Mapping[str, Any]) -> Examples:
    """1,797 images [8, 8, 1]; the file counts 0..16 dark pixels a square, here 0..1.

    Of some labels alone, they are numbered from 0.
    """
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32)
    first, end = _RANGES[parameters["labels"]]
    chosen = (labels >= first) & (labels < end)
    return Examples(x[chosen], labels[chosen].astype(np.int64) - first, classes=end - first)
