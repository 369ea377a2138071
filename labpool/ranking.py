"""Places of rows of which each stands for one run or several, and which of them chance may swap.

The rule. A row of several runs has the 95 % interval of its mean (``labpool.spread``). A row of one
run does not know its spread and borrows that of the others: s² = Σ(n - 1)s² / Σ(n - 1) over the
rows of several runs, with Σ(n - 1) degrees of freedom. Two rows can be told apart when their
intervals have no point in common. A row's band goes from 1 + (rows wholly better) to (all rows) -
(rows wholly worse). Where no row has several runs there is no spread to borrow and no band.

So a band holds the row's place by value; of two rows that can be told apart the better one's band
begins and ends above the other's; and no order of the rows matters.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from labpool.measures import Direction
from labpool.spread import Spread, student_t


@dataclass(frozen=True, slots=True)
class Band:
    """The places, from 1, that a row may have; ``half_width`` is that of its interval.

    ``borrowed`` when it has one run and took the spread of the other rows.
    """

    first: int
    last: int
    half_width: float
    borrowed: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """``place`` is by value alone, equal values sharing it."""

    place: int
    band: Band | None


def standings(rows: Sequence[Spread | None], direction: Direction) -> list[Standing | None]:
    """A standing for each row, in the order given. A row without a value (None) never ranks."""
    known = [row for row in rows if row is not None]
    sign = 1.0 if direction == "maximize" else -1.0
    means = sorted(sign * row.mean for row in known)
    bands = _bands(known, sign)
    found: list[Standing | None] = []
    ranked = 0
    for row in rows:
        if row is None:
            found.append(None)
            continue
        place = 1 + len(means) - bisect_right(means, sign * row.mean)
        found.append(Standing(place, bands[ranked] if bands else None))
        ranked += 1
    return found


def _bands(rows: Sequence[Spread], sign: float) -> list[Band] | None:
    borrowed = _single_reach(rows)
    if borrowed is None:
        return None
    reaches = [borrowed if row.half_width is None else row.half_width for row in rows]
    lows = sorted(sign * row.mean - reach for row, reach in zip(rows, reaches, strict=True))
    highs = sorted(sign * row.mean + reach for row, reach in zip(rows, reaches, strict=True))
    count = len(rows)
    return [
        Band(
            first=1 + count - bisect_right(lows, sign * row.mean + reach),
            last=count - bisect_left(highs, sign * row.mean - reach),
            half_width=reach,
            borrowed=row.half_width is None,
        )
        for row, reach in zip(rows, reaches, strict=True)
    ]


def _single_reach(rows: Sequence[Spread]) -> float | None:
    """Half the width of the interval of a row of one run; None where no row has several."""
    known = [(row.n - 1, row.deviation) for row in rows if row.deviation is not None]
    freedom = sum(part for part, _ in known)
    if not freedom:
        return None
    most = max(deviation for _, deviation in known)
    if most == 0.0:
        return 0.0
    shares = math.fsum(part * (deviation / most) ** 2 for part, deviation in known)
    return student_t(freedom) * most * math.sqrt(shares / freedom)
