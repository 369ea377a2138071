"""Samples of a target: warmed up, enough of them, and none of a device that was held back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.runner import timing
from worker.runner.reasons import GpuTrouble
from worker.runner.report import Report
from worker.runner.targets import Target

WARM_UP_S = 0.2
BUDGET_S = 5.0
"""Longest time spent on samples beyond the least number that the spec asks for."""
MOST_SAMPLES = 10_000
MOST_POINTS = 500
"""Points of the curve of samples."""
BATCH_S = 0.005
LEAST_RUNS, MOST_RUNS = 2, 1000
LEAST_BATCHES, MOST_BATCHES = 10, 200
BATCH_BUDGET_S = 1.0
MOST_DISCARDED = 200
"""Samples lost to a low clock after which the device is left alone."""
COOLING_S = 0.02
"""Pause after such a sample."""


@dataclass(frozen=True)
class Samples:
    """Seconds of each sample that counts, and how many did not."""

    seconds: list[float]
    discarded: int


def take_samples(
    target: Target, least: int, report: Report, clock: Callable[[], float] = time.monotonic
) -> Samples:
    """`least` samples, then more until settled or BUDGET_S is spent.

    Raises TrialCancelled, and GpuTrouble where the clock stays low.
    """
    warm_until = clock() + WARM_UP_S
    target.sample()
    while clock() < warm_until:
        target.sample()
    deadline = clock() + BUDGET_S
    kept: list[float] = []
    discarded = 0
    while len(kept) < least or (
        len(kept) < MOST_SAMPLES and clock() < deadline and not timing.is_settled(kept)
    ):
        report.stop_if_cancelled()
        seconds = target.sample()
        if (why := target.held_back()) is not None:
            discarded = _discard(discarded, why)
            continue
        kept.append(seconds)
        if len(kept) <= least:
            report.progress(len(kept))
    _report_curve(kept, report)
    return Samples(kept, discarded)


def take_batches(
    target: Target,
    typical_s: float,
    report: Report,
    done: int,
    clock: Callable[[], float] = time.monotonic,
) -> Samples:
    """Seconds of one run among many back to back; `typical_s` is about what one takes.

    `done` samples were reported before, and are again, as a sign of life.
    """
    runs = min(max(LEAST_RUNS, math.ceil(BATCH_S / max(typical_s, 1e-9))), MOST_RUNS)
    target.batch(runs)
    deadline = clock() + BATCH_BUDGET_S
    kept: list[float] = []
    discarded = 0
    while len(kept) < LEAST_BATCHES or (
        len(kept) < MOST_BATCHES and clock() < deadline and not timing.is_settled(kept)
    ):
        report.stop_if_cancelled()
        seconds = target.batch(runs)
        if (why := target.held_back()) is not None:
            discarded = _discard(discarded, why)
            continue
        kept.append(seconds)
        if runs == LEAST_RUNS:
            report.progress(done)
    return Samples(kept, discarded)


def _discard(discarded: int, why: str) -> int:
    if discarded >= MOST_DISCARDED:
        raise GpuTrouble(
            f"{discarded} samples were discarded: {why}. Let the GPU cool, or free it."
        )
    time.sleep(COOLING_S)
    return discarded + 1


def _report_curve(samples_s: list[float], report: Report) -> None:
    # After the last sample: a message in between would disturb the next one.
    stride = math.ceil(len(samples_s) / MOST_POINTS)
    steps = range(1, len(samples_s) + 1, stride)
    values = {"sample_ms": [one * 1e3 for one in samples_s[::stride]]}
    # Not soon: what comes next is timed too.
    report.points(steps, [None] * len(steps), values, at_once=True)
