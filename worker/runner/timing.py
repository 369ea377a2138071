"""How long something takes, said with its spread.

Nothing here reads a clock: samples are seconds that a target measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ENOUGH_PERCENT = 0.5
"""Standard error of the mean, as a share of it, below which more samples say nothing new."""


@dataclass(frozen=True)
class Timing:
    """Samples in milliseconds: the median with its 95 % interval, and how they scatter."""

    samples: int
    median_ms: float
    median_low_ms: float
    median_high_ms: float
    p5_ms: float
    p95_ms: float
    noise_percent: float
    """Standard deviation as a share of the mean, in percent."""


def summarize(samples_s: Sequence[float]) -> Timing:
    """The timing that at least two samples tell of."""
    ordered = np.sort(np.asarray(samples_s, np.float64)) * 1e3
    low, high = median_interval(len(ordered))
    return Timing(
        samples=len(ordered),
        median_ms=float(np.median(ordered)),
        median_low_ms=float(ordered[low]),
        median_high_ms=float(ordered[high]),
        p5_ms=float(np.percentile(ordered, 5)),
        p95_ms=float(np.percentile(ordered, 95)),
        noise_percent=float(100 * ordered.std(ddof=1) / ordered.mean()),
    )


def median_interval(count: int) -> tuple[int, int]:
    """Ranks, from 0, of the sorted samples that enclose the median in at least 95 cases of 100.

    How many of `count` samples fall below the true median is binomial, whatever the distribution
    of times looks like; the ranks follow from that. Up to five samples no interval is that sure and
    the whole range is given.
    """
    # Largest r with P(at most r-1 of count below the median) <= 2.5 %.
    tail, rank = 0.0, 0
    for below in range(count // 2):
        log_chance = (
            math.lgamma(count + 1)
            - math.lgamma(below + 1)
            - math.lgamma(count - below + 1)
            - count * math.log(2)
        )
        tail += math.exp(log_chance)
        if tail > 0.025:
            break
        rank = below + 1
    low = max(0, rank - 1)
    return low, count - 1 - low


def is_settled(samples_s: Sequence[float]) -> bool:
    """Whether the mean is known to ENOUGH_PERCENT."""
    values = np.asarray(samples_s, np.float64)
    if len(values) < 2:
        return False
    standard_error = values.std(ddof=1) / math.sqrt(len(values))
    return bool(100 * standard_error < ENOUGH_PERCENT * values.mean())
