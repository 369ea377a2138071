"""How much each varied parameter matters, told from a sweep's own trials.

A variance decomposition over ranks: the trials are put into groups by the parameter's values, and
what the groups explain of the variance of the trials' ranks is its importance. It is adjusted for
chance (the epsilon squared of an analysis of variance), so that a parameter that does nothing comes
to about 0 however many values it has. Ranks keep one run that diverged from deciding everything.

It is each parameter by itself: what only a combination of several does is in nobody's share. It
holds for the trials there are, which a search that learns draws where it expects the better ones.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_TRIALS = 12
"""With fewer scored trials nothing is said."""

METHOD = "share of the variance of ranks between groups of values (epsilon squared)"
_MOST_GROUPS = 6
_LEAST_IN_GROUP = 3


@dataclass(frozen=True, slots=True)
class Importance:
    """``share`` of the variance that the parameter explains by itself, 0 to 1; None where its
    values are too many for so few trials. ``groups``: how many its trials were put into."""

    name: str
    share: float | None
    groups: int


def importances(
    values: Sequence[Mapping[str, Any]], scores: Sequence[float], names: Sequence[str]
) -> list[Importance]:
    """The importance of each parameter, the most important first.

    ``values`` and ``scores`` are of one length, a pair for each trial; more is better, and minus
    infinity is the worst. Raises ValueError for fewer than ``LEAST_TRIALS``.
    """
    if len(scores) < LEAST_TRIALS:
        raise ValueError(f"importance needs {LEAST_TRIALS} trials, and there are {len(scores)}")
    ranks = _ranks(scores)
    found = [_importance(name, [given.get(name) for given in values], ranks) for name in names]
    return sorted(found, key=lambda one: -1.0 if one.share is None else one.share, reverse=True)


def _importance(name: str, column: Sequence[Any], ranks: Sequence[float]) -> Importance:
    labels = _groups(column)
    count = len(set(labels))
    if count * _LEAST_IN_GROUP > len(ranks):
        return Importance(name, None, count)
    return Importance(name, _explained(labels, ranks), count)


def _explained(labels: Sequence[Hashable], ranks: Sequence[float]) -> float:
    """Epsilon squared: (between - (groups - 1) * within / (n - groups)) / whole, at least 0."""
    groups: dict[Hashable, list[float]] = {}
    for label, rank in zip(labels, ranks, strict=True):
        groups.setdefault(label, []).append(rank)
    mean = sum(ranks) / len(ranks)
    whole = sum((rank - mean) ** 2 for rank in ranks)
    if not whole or len(groups) < 2:
        return 0.0
    between = sum(len(group) * (sum(group) / len(group) - mean) ** 2 for group in groups.values())
    noise = (whole - between) / (len(ranks) - len(groups))
    return min(1.0, max(0.0, (between - (len(groups) - 1) * noise) / whole))


def _groups(column: Sequence[Any]) -> list[Hashable]:
    """A label for each value: the value itself where they repeat, else its part of the order."""
    written: list[Hashable] = [json.dumps(value, sort_keys=True) for value in column]
    few = len(set(written)) * _LEAST_IN_GROUP <= len(column) and len(set(written)) <= _MOST_GROUPS
    if few or not all(_is_number(value) for value in column):
        return written
    parts = max(2, min(_MOST_GROUPS, len(column) // (2 * _LEAST_IN_GROUP)))
    # Equal values have one mean rank, so they come to one part.
    return [int((rank - 0.5) * parts / len(column)) for rank in _ranks([float(v) for v in column])]


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1, the least first; equal values share the mean of their places."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for place in order[start:end]:
            ranks[place] = (start + 1 + end) / 2
        start = end
    return ranks


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
