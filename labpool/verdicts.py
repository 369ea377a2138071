"""Whether one benchmark's time is another's: FAST, SLOW, SAME or AMBIGUOUS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

Verdict = Literal["FAST", "SLOW", "SAME", "AMBIGUOUS"]

SAME_WITHIN: Final = 0.02
"""Change of the median, as a share, that is of no consequence."""


def verdict(before: Mapping[str, Any], after: Mapping[str, Any]) -> Verdict:
    """What `after` is beside `before`: metrics with median_low_ms and median_high_ms.

    The two 95 % intervals bound the change. FAST and SLOW need all of it on one side, SAME all of
    it within SAME_WITHIN; what neither holds for is AMBIGUOUS, as is a time that is missing.
    """
    bounds = [_interval(before), _interval(after)]
    if bounds[0] is None or bounds[1] is None:
        return "AMBIGUOUS"
    (low_before, high_before), (low_after, high_after) = bounds[0], bounds[1]
    least, most = low_after / high_before - 1, high_after / low_before - 1
    if least >= -SAME_WITHIN and most <= SAME_WITHIN:
        return "SAME"
    if most < 0:
        return "FAST"
    return "SLOW" if least > 0 else "AMBIGUOUS"


def _interval(metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    low, high = metrics.get("median_low_ms"), metrics.get("median_high_ms")
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low > 0:
        return None
    return float(low), float(high)
