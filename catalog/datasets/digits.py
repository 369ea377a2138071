"""Real handwritten digits from scikit-learn's own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from labpool.sdk import Examples


def load(parameters: Mapping[str, Any]) -> Examples:
    """1,797 images [8, 8, 1]; the file counts 0..16 dark pixels a square, here 0..1."""
    del parameters  # it has none
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32)
    return Examples(x, labels.astype(np.int64), classes=10)
