"""What a measured roofline says of one kernel, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

LARGEST = 1e15
"""No peak and no rate of a device comes near this."""
NEAR_PERCENT = 50.0
"""Below this share of what the roofline allows, something else than the roofline is to blame."""
LIKE_WITHIN = 1.25
"""Quotient of two measurements of one peak. Each result has its own: a GPU's differ by a few
percent, a processor's by far more between sizes, as other caches come into play."""
_NUMBERS = ("peak_gb_s", "peak_gflop_s", "intensity", "attainable_gflop_s", "percent")


@dataclass(frozen=True, slots=True)
class Roofline:
    """Peaks measured on the device, and what they allow at the kernel's operations a byte."""

    peak_gb_s: float
    peak_gflop_s: float
    intensity: float
    attainable_gflop_s: float
    percent: float
    limit: str
    measured_at: str

    @classmethod
    def of(cls, summary: Mapping[str, Any]) -> Self | None:
        """From a result's summary; None where it has none that could be drawn."""
        found = summary.get("roofline")
        if not isinstance(found, Mapping):
            return None
        numbers: dict[str, float] = {}
        for name in _NUMBERS:
            value = found.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            if not 0 < value < LARGEST:
                return None
            numbers[name] = float(value)
        if (limit := found.get("limit")) not in ("memory", "arithmetic"):
            return None
        return cls(**numbers, limit=limit, measured_at=str(found.get("measured_at") or ""))

    @property
    def ridge(self) -> float:
        """Operations a byte above which arithmetic is the limit."""
        return self.peak_gflop_s / self.peak_gb_s

    def roof(self, intensity: float) -> float:
        """GFLOP/s that both peaks allow."""
        return min(self.peak_gflop_s, intensity * self.peak_gb_s)

    def is_like(self, other: Roofline) -> bool:
        """Whether both peaks are as good as the other's, so that one roof does for both."""
        pairs = (
            (self.peak_gb_s, other.peak_gb_s),
            (self.peak_gflop_s, other.peak_gflop_s),
        )
        return all(max(pair) <= LIKE_WITHIN * min(pair) for pair in pairs)

    @property
    def sentence(self) -> str:
        """Which limit holds the kernel back, and how close it comes."""
        room = f"{rate_text(self.attainable_gflop_s)} GFLOP/s"
        if self.limit == "memory":
            why = (
                f"its {self.intensity:.3g} operations a byte leave room for {room} at the measured "
                f"{rate_text(self.peak_gb_s)} GB/s"
            )
        else:
            why = f"with {self.intensity:.3g} operations a byte the measured {room} are the bound"
        reached = f"It reaches {self.percent:.3g} % of that"
        if self.percent < NEAR_PERCENT:
            reached += ", less than half: something else holds it back more"
        word = self.limit.capitalize()
        return f"{word} is the limit: {why}. {reached}."


def under_one_roof(found: Sequence[Roofline]) -> tuple[Roofline, list[int]]:
    """The roof that most of them lie under, and the places of those in `found`, of one at least.

    It has the highest peaks of theirs: a device may have been slow for a moment, never fast.
    """
    groups: list[list[int]] = []
    for place, one in enumerate(found):
        fitting = (group for group in groups if one.is_like(found[group[0]]))
        if (group := next(fitting, None)) is None:
            groups.append([place])
        else:
            group.append(place)
    most = max(groups, key=len)
    roof = replace(
        found[most[0]],
        peak_gb_s=max(found[place].peak_gb_s for place in most),
        peak_gflop_s=max(found[place].peak_gflop_s for place in most),
    )
    return roof, most


def rate_text(value: float) -> str:
    """Four digits at least, never an exponent: 666.7, 60,000."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
