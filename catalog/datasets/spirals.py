"""Points on interleaved spiral arms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from labpool.sdk import Examples


def load(parameters: Mapping[str, Any]) -> Examples:
    """[examples, 2] points about the origin, radius up to 1; one arm a class."""
    count, classes = parameters["examples"], parameters["classes"]
    random = np.random.default_rng(parameters["seed"])
    labels = random.permutation(np.arange(count) % classes).astype(np.int64)
    # The square root spreads the points evenly over an arm's length instead of crowding the middle.
    radius = np.sqrt(random.uniform(0.01, 1.0, count))
    angle = 2 * np.pi * (parameters["turns"] * radius + labels / classes)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += random.normal(0.0, parameters["noise"], points.shape)
    return Examples(points.astype(np.float32), labels, classes)
