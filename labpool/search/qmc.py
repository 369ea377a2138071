"""Points spread more evenly than chance: a Halton sequence, its digits permuted by the seed.

Trial n's point depends on the seed and n alone, so a longer sweep with the same seed begins with
the shorter one's trials. Each axis counts in a prime of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random as Source
from typing import Any

from labpool.errors import Problem
from labpool.search.axes import value_at
from labpool.search.base import Create, Row, Search
from labpool.spec import MOST_AXES, SweepSpec
from labpool.strategy_form import QmcStrategy

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
assert len(PRIMES) == MOST_AXES
_BITS = 53


class Qmc:
    heeds_results = False

    def check(self, spec: SweepSpec) -> list[Problem]:  # noqa: ARG002 - takes any space
        return []

    def count(self, spec: SweepSpec) -> int:
        return _strategy(spec).trials

    def advance(self, spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
        strategy = _strategy(spec)
        made = {row.number for row in rows}
        points = Points(spec, strategy.seed)
        return [
            Create(number, points.at(number))
            for number in range(strategy.trials)
            if number not in made
        ]


class Points:
    """The sequence for one space and seed."""

    def __init__(self, spec: SweepSpec, seed: int) -> None:
        self._axes = list(spec.space.items())
        self._digits = [_permutations(seed, prime) for prime in PRIMES[: len(self._axes)]]

    def at(self, number: int) -> dict[str, Any]:
        """The values of trial ``number``, from 0."""
        return {
            path: value_at(axis, _place(number, digits))
            for (path, axis), digits in zip(self._axes, self._digits, strict=True)
        }


def _permutations(seed: int, prime: int) -> list[list[int]]:
    """One for each digit that a float has room for; zeros are permuted too."""
    # A text seed is hashed by a fixed rule, the same on every Python and platform.
    source = Source(f"labpool qmc {seed} {prime}")  # noqa: S311 - not a secret
    count = math.ceil(_BITS / math.log2(prime))
    return [source.sample(range(prime), prime) for _ in range(count)]


def _place(number: int, digits: Sequence[Sequence[int]]) -> float:
    prime = len(digits[0])
    numerator, denominator = 0, 1
    for permuted in digits:
        number, digit = divmod(number, prime)
        numerator = numerator * prime + permuted[digit]
        denominator *= prime
    # The division may round up to 1, which is no place.
    return min(numerator / denominator, math.nextafter(1.0, 0.0))


def _strategy(spec: SweepSpec) -> QmcStrategy:
    if not isinstance(spec.strategy, QmcStrategy):
        raise TypeError(spec.strategy.method)
    return spec.strategy


SEARCH: Search = Qmc()
