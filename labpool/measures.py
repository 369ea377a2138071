"""What is known of a metric by its name: which way is better, and which to show first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Direction = Literal["maximize", "minimize"]

# The results that lists show unless somebody chooses others.
HEADLINES = (
    "test_iou", "val_iou", "test_return", "val_return", "test_accuracy", "val_accuracy",
    "median_ms", "gflop_s",
)  # fmt: skip
_LOWER = re.compile(r"(^|_)(loss|error|ms|seconds|s)$|^noise_percent$")
_HIGHER = re.compile(
    r"(^|_)(accuracy|iou|return)$|^(gflop_s|gb_s|images_per_second|percent_of_peak)$"
)


def direction_by_name(name: str) -> Direction | None:
    """Whether more or less of a metric is better, by the words in its name; None if unknown."""
    if _HIGHER.search(name):
        return "maximize"
    return "minimize" if _LOWER.search(name) else None


def direction_of(name: str, boards: Mapping[str, Direction]) -> Direction | None:
    """The same, asking the boards (their direction by metric) before the name."""
    return boards.get(name) or direction_by_name(name)
