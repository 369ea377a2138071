"""A data set's splits, held on the device that trains on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from labpool.sdk import DataShape
from worker.runner import backend
from worker.runner.data import Split, Splits


@dataclass(frozen=True)
class Resident:
    """A split on a device: `x` float32 [n, ...], `y` the targets [n, ...] of the model's task."""

    x: tf.Tensor
    y: tf.Tensor
    count: int

    @classmethod
    def of(cls, split: Split, device: backend.Device) -> Resident:
        """A copy of `split` on `device`."""
        with backend.on(device):
            return cls(tf.constant(split.x), tf.constant(split.y), len(split.y))

    @property
    def target(self) -> tf.TensorSpec:
        """What the targets of any number of examples are to a traced function."""
        return tf.TensorSpec([None, *self.y.shape[1:]], self.y.dtype)

    @property
    def bytes(self) -> int:
        """What the split takes."""
        return sum(part.shape.num_elements() * part.dtype.size for part in (self.x, self.y))

    def parts(self, size: int) -> Iterator[tuple[Any, Any]]:
        """(x, y) of consecutive examples, at most `size` at once."""
        for start in range(0, self.count, size):
            yield self.x[start : start + size], self.y[start : start + size]


@dataclass(frozen=True)
class ResidentSplits:
    """Training examples are learned from, validation chooses, test is looked at once."""

    training: Resident
    validation: Resident
    test: Resident
    shape: DataShape
    undivided: bool = False

    @classmethod
    def of(cls, splits: Splits, shape: DataShape, device: backend.Device) -> ResidentSplits:
        """A copy of `splits` on `device`."""
        training, validation, test = (
            Resident.of(split, device)
            for split in (splits.training, splits.validation, splits.test)
        )
        return cls(training, validation, test, shape, splits.undivided)

    @property
    def bytes(self) -> int:
        """What the examples and their targets take."""
        return sum(split.bytes for split in (self.training, self.validation, self.test))
