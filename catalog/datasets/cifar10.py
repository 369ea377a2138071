"""CIFAR-10, from the files that `labpool data fetch` or `import` has put on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labpool.sdk import Examples, kept_examples


def load(parameters: Mapping[str, Any]) -> Examples:
    """[60000, 32, 32, 3], the training set first. Raises Unsuitable where the files are missing."""
    del parameters  # it has none
    return kept_examples("cifar10")
