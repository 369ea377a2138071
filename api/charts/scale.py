"""Linear and logarithmic axes: positions and round tick values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["linear", "log"]
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`…`high` of the data to `start`…`end` of the drawing (which may run backwards)."""

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "linear"

    def position(self, value: float) -> float:
        low, high, here = self._bend(self.low), self._bend(self.high), self._bend(value)
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the scale, about as many as asked for."""
        if self.kind == "log":
            found = _log_ticks(self.low, self.high)
            # Within less than a decade there may be none or one: an axis needs two to be read.
            return found if len(found) > 1 else linear_ticks(self.low, self.high, about)
        return linear_ticks(self.low, self.high, about)

    def _bend(self, value: float) -> float:
        return math.log10(value) if self.kind == "log" else value


def fit(
    values: Iterable[float], start: float, end: float, kind: Kind = "linear", margin: float = 0.05
) -> Scale:
    """A scale that holds all `values` with a margin. Logarithmic only where all are positive."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Scale(0.0, 1.0, start, end)
    low, high = min(finite), max(finite)
    if kind == "log" and low > 0:
        spread = max(math.log10(high) - math.log10(low), 0.1)
        return Scale(
            low / 10 ** (spread * margin), high * 10 ** (spread * margin), start, end, "log"
        )
    if low == high:
        room = abs(low) * 0.1 or 1.0
        return Scale(low - room, high + room, start, end)
    room = (high - low) * margin
    return Scale(low - room, high + room, start, end)


def linear_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2, 2.5 or 5 times a power of ten within low…high."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    raw = span / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in _STEPS if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(powers) > 4 else (1, 2, 5)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return [tick for tick in ticks if low <= tick <= high]


def label(value: float) -> str:
    """A short label: 0.001, 0.25, 12, 1.5k, 2M, 1e-6."""
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e9:
        return f"{value:.2g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / {'M': 1e6, 'k': 1e3}[unit]:.4g}{unit}"
    return f"{value:.4g}"
