"""The loss within an epoch, thinned to a bounded number of points."""

from __future__ import annotations

from collections.abc import Iterator

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
        self._ends = [steps_per_epoch * (n + 1) // count for n in range(count)]
        self._done = 0

    def begin(self) -> None:
        """A new epoch."""
        self._done = 0

    def complete(self, losses: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        """The stretches completed by now as (step within the epoch, mean loss).

        `losses` holds every step of the epoch so far.
        """
        while self._done < len(self._ends) and self._ends[self._done] <= len(losses):
            start = self._ends[self._done - 1] if self._done else 0
            end = self._ends[self._done]
            self._done += 1
            yield end, float(losses[start:end].mean(dtype=np.float64))
