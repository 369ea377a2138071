"""How far equal runs that differ in their seed lie apart: mean, spread and a 95 % interval.

The interval is Student's: mean ± t(0.975, n - 1) · s / √n, where s² = Σ(x - mean)² / (n - 1). It
takes the runs as independent and their errors as about normal, and corrects for no number of looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

CONFIDENCE = 0.95
# Beyond it the sum below is long, and two corrections of the normal quantile are exact to 1e-8.
_LONGEST_SERIES = 1000
_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Spread:
    """``n`` runs. One run has no ``deviation`` (s) and no ``half_width`` of its interval."""

    n: int
    mean: float
    deviation: float | None
    half_width: float | None


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """The spread of those ``values`` that are finite numbers; None where there is none of them."""
    found = sorted(value for value in values if value is not None and math.isfinite(value))
    if not found:
        return None
    n = len(found)
    if n == 1:
        return Spread(1, found[0], None, None)
    if found[0] == found[-1]:
        # Rounding must not make a difference where there is none.
        return Spread(n, found[0], 0.0, 0.0)
    mean = min(max(math.fsum(value / n for value in found), found[0]), found[-1])
    away = [value - mean for value in found]
    most = max(map(abs, away))
    if most == 0.0:
        # Neighbouring numbers, whose mean is no number of its own.
        return Spread(n, mean, 0.0, 0.0)
    deviation = most * math.sqrt(math.fsum((part / most) ** 2 for part in away) / (n - 1))
    return Spread(n, mean, deviation, student_t(n - 1) * deviation / math.sqrt(n))


def interval_text(mean: float, half_width: float) -> str:
    """'0.9706 ± 0.0043': both to the digit where the second one of the half width stands."""
    if half_width == 0.0:
        return f"{mean:.6g} ± 0"
    digits = min(12, max(0, 1 - int(f"{half_width:.1e}".partition("e")[2])))
    return f"{mean:,.{digits}f} ± {half_width:,.{digits}f}"


def one_more(spread: Spread) -> tuple[float, float] | None:
    """Where one more run like these lies with 95 %: mean ± t(0.975, n - 1) · s · √(1 + 1 / n)."""
    if spread.deviation is None:
        return None
    reach = student_t(spread.n - 1) * spread.deviation * math.sqrt(1 + 1 / spread.n)
    return spread.mean - reach, spread.mean + reach


@lru_cache(maxsize=4096)
def student_t(freedom: int) -> float:
    """t(0.975, freedom): 95 % of Student's distribution lie within ± it.

    Raises ValueError for less than one degree of freedom.
    """
    if freedom < 1:
        raise ValueError("Student's distribution has at least one degree of freedom.")
    if freedom > _LONGEST_SERIES:
        z = _NORMAL_975
        first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + first / freedom + second / freedom**2
    low, high = 1.9, 13.0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The share of the distribution within ± t: a finite sum over powers of cos²(atan(t / √f))."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    total = 0.0
    term = cosine if odd else 1.0
    for index in range(1 + odd, freedom, 2):
        total += term
        term *= index / (index + 1) * cosine * cosine
    return (angle + sine * total) * 2 / math.pi if odd else sine * total
