"""The loss within an epoch, thinned to a bounded number of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 500
"""Points a trial, beside one an epoch."""


class StepPoints:
    """Means of the loss over equal stretches of one epoch.

    Stretches end with their epoch and depend on the spec alone, so a resumed run draws the same
    curve as one that was never stopped.
    """

    def __init__(self, steps_per_epoch: int, epochs: int) -> None:
        count = min(steps_per_epoch, MOST_POINTS // epochs)
        # One point an epoch is the epoch's own loss, which is reported anyway.
        count = 0 if count < 2 else count
        self._ends = steps_per_epoch * np.arange(1, count + 1) // max(count, 1)
        self._lengths = np.diff(self._ends, prepend=0)
        self._distinct = sorted(set(self._lengths.tolist()))
        self._done = 0

    def begin(self) -> None:
        """A new epoch."""
        self._done = 0

    def complete(
        self, losses: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The stretches completed by now: their last steps within the epoch, their mean losses.

        `losses` holds every step of the epoch so far.
        """
        first = self._done
        self._done = int(np.searchsorted(self._ends, len(losses), side="right"))
        ends, lengths = self._ends[first : self._done], self._lengths[first : self._done]
        means = np.empty(len(ends))
        # There are two lengths at most. Each mean is of a row of its own: sums over more than that
        # would have other last bits, depending on where the epoch is cut.
        for length in self._distinct:
            these = lengths == length
            steps = ends[these, None] + np.arange(-length, 0)
            means[these] = losses[steps].mean(axis=1, dtype=np.float64)
        return ends, means
