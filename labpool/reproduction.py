"""Whether a trial that was run again came to the same, and what may be why not.

The rule. *Identical*: the same ``weights_sha256``. Otherwise each metric of the result that does
not measure time is held against where one more run of that configuration lies with 95 %: mean ±
t(0.975, n - 1) · s · √(1 + 1 / n) over its n seeds. With one seed no spread is known, and the
values have to agree to 1e-6 of their size. *Reproduced*: every metric lies within; else it
*differs*. A benchmark's median must have an interval that meets the first one's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labpool.spread import Spread, one_more

Verdict = Literal["identical", "reproduced", "differs", "open"]

ROUNDING = 1e-6
_MEASURES_TIME = re.compile(r"(^|_)(s|ms|seconds|per_second)$|^gflop_s$|^gb_s$")
_MEDIAN = ("median_ms", "median_low_ms", "median_high_ms")
_LIKELY = ("device", "device_name", "threads", "engine", "deterministic",
           "trained_together")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a trial came to, and with what."""

    metrics: Mapping[str, Any]
    summary: Mapping[str, Any]
    environment: Mapping[str, Any]
    device: str
    code_digest: str
    data_digest: str | None
    ended_early: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of both; ``low`` to ``high`` is where the second had to lie."""

    name: str
    first: float | None
    again: float | None
    low: float | None
    high: float | None
    within: bool


@dataclass(frozen=True, slots=True)
class Reproduction:
    """``seeds`` is how many the intervals are from; ``reasons`` are differences, not proofs."""

    verdict: Verdict
    seeds: int = 0
    metrics: tuple[Compared, ...] = ()
    reasons: tuple[str, ...] = field(default=())


def reproduction(
    first: Outcome, again: Outcome, spreads: Mapping[str, Spread] | None = None
) -> Reproduction:
    """``spreads`` are those of the first one's configuration over its seeds, by metric."""
    spreads = spreads or {}
    pairs = tuple(_pairs(first.metrics, again.metrics, spreads))
    reasons = tuple(_reasons(first, again))
    seeds = max((spread.n for spread in spreads.values()), default=1)
    weights = first.summary.get("weights_sha256")
    if weights is not None and weights == again.summary.get("weights_sha256"):
        return Reproduction("identical", seeds, pairs, reasons)
    good = bool(pairs) and all(pair.within for pair in pairs)
    return Reproduction("reproduced" if good else "differs", seeds, pairs, reasons)


def _pairs(
    first: Mapping[str, Any], again: Mapping[str, Any], spreads: Mapping[str, Spread]
) -> list[Compared]:
    if "median_ms" in first:
        return [_median(first, again)]
    names = [name for name in {**first, **again} if not _MEASURES_TIME.search(name)]
    return [_pair(name, first.get(name), again.get(name), spreads.get(name)) for name in names]


def _pair(name: str, first: Any, again: Any, spread: Spread | None) -> Compared:
    one, other = _number(first), _number(again)
    if one is None:
        return Compared(name, None, other, None, None, other is None)
    room = ROUNDING * max(1.0, abs(one))
    low, high = (spread and one_more(spread)) or (one, one)
    low, high = low - room, high + room
    return Compared(name, one, other, low, high, other is not None and low <= other <= high)


def _median(first: Mapping[str, Any], again: Mapping[str, Any]) -> Compared:
    one, low, high = (_number(first.get(name)) for name in _MEDIAN)
    other, other_low, other_high = (_number(again.get(name)) for name in _MEDIAN)
    ends = (low, high, other_low, other_high)
    meets = None not in ends and other_low <= high and low <= other_high  # type: ignore[operator]
    return Compared("median_ms", one, other, low, high, bool(meets))


def _reasons(first: Outcome, again: Outcome) -> list[str]:
    found = []
    if first.code_digest != again.code_digest:
        found.append("the catalog entry's code has changed")
    if first.data_digest != again.data_digest:
        found.append("the data set has changed")
    if first.ended_early != again.ended_early:
        found.append(f"the {'first' if first.ended_early else 'second'} ended early")
    old = {"device": first.device, **first.environment}
    new = {"device": again.device, **again.environment}
    found += [_change(name, old, new) for name in _LIKELY if old.get(name) != new.get(name)]
    versions, newer = _table(old.get("versions")), _table(new.get("versions"))
    names = [name for name in {**versions, **newer} if versions.get(name) != newer.get(name)]
    return found + [_change(name, versions, newer) for name in names]


def _change(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    before, after = (values.get(name, "not recorded") for values in (old, new))
    return f"{name.replace('_', ' ')}: {before}, then {after}"


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
