"""Smoothing of noisy curves."""

from __future__ import annotations

import math
from collections.abc import Sequence


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average with `weight` on the past (0 is none), corrected for its start.

    Without the correction the first points would lean towards zero. Values that are not finite
    stay as they are, and what comes after them goes on from before.
    """
    past, mass = 0.0, 0.0
    found = []
    for value in values:
        if not math.isfinite(value):
            found.append(value)
            continue
        past = weight * past + (1 - weight) * value
        mass = weight * mass + (1 - weight)
        found.append(past / mass)
    return found
