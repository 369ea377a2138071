"""The referee: what a device can do at most, and what that makes of a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from labpool.sdk import Cost
from worker.runner.reasons import WrongResult
from worker.wire_types import Json

ALLOWANCE: Final = {"gpu": 1.15, "cpu": 1.5}
"""Above a measured peak, what an honest time may still come to. A GPU reads faster than it copies,
by at most a tenth; a processor shared with others may have been slow just while it was measured."""


class ImpossibleTime(WrongResult):
    """The time is too good to be true."""


@dataclass(frozen=True)
class Peaks:
    """What was measured on the very device: bytes moved and operations done a second."""

    bytes_s: float
    operations_s: float

    def best(self, other: Peaks) -> Peaks:
        """The higher of each: a device may have been slow for a moment, never fast."""
        return Peaks(max(self.bytes_s, other.bytes_s), max(self.operations_s, other.operations_s))


@dataclass(frozen=True)
class Ruling:
    """Whether a time is possible. `least_s` is the least that is, with its reason."""

    possible: bool
    least_s: float
    why: str

    def describe(self) -> Json:
        """The result's "referee" part."""
        return {
            "verdict": "possible" if self.possible else "impossible",
            "least_ms": 1e3 * self.least_s,
            "why": self.why,
        }


@dataclass(frozen=True)
class Roofline:
    """Where a time lies below what the peaks allow."""

    peaks: Peaks
    intensity: float
    """Operations a byte."""
    percent: float
    """Of the operations a second that the peaks allow at that intensity."""

    def describe(self) -> Json:
        """The result's "roofline" part."""
        by_memory = self.intensity * self.peaks.bytes_s
        return {
            "peak_gb_s": self.peaks.bytes_s / 1e9,
            "peak_gflop_s": self.peaks.operations_s / 1e9,
            "intensity": self.intensity,
            "attainable_gflop_s": min(by_memory, self.peaks.operations_s) / 1e9,
            "limit": "memory" if by_memory <= self.peaks.operations_s else "arithmetic",
            "percent": self.percent,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        }


def roofline(cost: Cost, seconds: float, peaks: Peaks) -> Roofline:
    """Of one run of `cost` in `seconds`."""
    intensity = cost.operations / cost.bytes
    attainable = min(intensity * peaks.bytes_s, peaks.operations_s)
    return Roofline(peaks, intensity, 100 * cost.operations / seconds / attainable)


def rule(cost: Cost, seconds: float, peaks: Peaks, device: str, absorbed_bytes: int = 0) -> Ruling:
    """Hold a time against the peaks.

    `absorbed_bytes` is what may still have lain in a cache, unwritten to memory, when the time
    ended: the output, as far as the cache has room.
    """
    allowance = ALLOWANCE[device]
    moved = max(0, cost.bytes - absorbed_bytes)
    by_memory = moved / (allowance * peaks.bytes_s)
    by_arithmetic = cost.operations / (allowance * peaks.operations_s)
    least = max(by_memory, by_arithmetic)
    if by_memory >= by_arithmetic:
        why = f"{moved:,} bytes at the measured {peaks.bytes_s / 1e9:,.4g} GB/s"
    else:
        peak = f"{peaks.operations_s / 1e9:,.4g} GFLOP/s"
        why = f"{cost.operations:,} operations at the measured {peak}"
    margin = f", with {100 * (allowance - 1):.0f} % to spare"
    return Ruling(seconds >= least, least, f"{why}{margin}, take {1e3 * least:.4g} ms")


def require_possible(ruling: Ruling, seconds: float) -> None:
    """Raises ImpossibleTime for one that no honest run can have."""
    if not ruling.possible:
        raise ImpossibleTime(
            f"The median is {1e3 * seconds:.4g} ms, but {ruling.why}. Either not all of "
            "the work was done, or units did it that plain arithmetic does not use, such as tensor "
            "cores."
        )
