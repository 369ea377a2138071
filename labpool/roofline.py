"""What a measured roofline says of one kernel, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

LARGEST = 1e15
"""No peak and no rate of a device comes near this."""
NEAR_PERCENT = 50.0
"""Below this share of what the roofline allows, something else than the roofline is to blame."""
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


def rate_text(value: float) -> str:
    """Four digits at least, never an exponent: 666.7, 60,000."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
