"""One text for many numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_of_weights(weights: Sequence[NDArray[Any]]) -> str:
    """One sha256 over all arrays: equal when every bit is."""
    total = hashlib.sha256()
    for array in weights:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
