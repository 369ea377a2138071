"""Results of a board put together to rows, in order: no database in here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from labpool.measures import Direction
from labpool.ranking import Band, standings
from labpool.spread import Spread, spread_of

Rule = Literal["best", "last", "all"]


class Candidate(NamedTuple):
    """A verified result. Two belong to one row when ``point`` and all from ``owner_id`` to
    ``device`` agree.

    ``point`` is what its row is the best for, on a board that has one row for each point.
    """

    trial_id: int
    value: float
    seed: int
    owner_id: int
    configuration_digest: str
    code_digest: str
    data_digest: str | None
    device: str
    finished_at: float | None
    seconds: float
    train_seconds: float | None
    point: str | None = None


_Group = tuple[list[Candidate], list[Candidate]]
"""Of a row, the results that count, one a seed, and all."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of a board; ``shown`` is the run that stands for it. Seeds and trials are in order.

    ``tried`` are the configurations that it is the best of: one, but on a board of points.
    """

    place: int
    band: Band | None
    spread: Spread
    shown: Candidate
    seeds: tuple[int, ...]
    trial_ids: tuple[int, ...]
    seconds: float
    train_seconds: float | None
    tried: int = 1


def ranked(
    candidates: Iterable[Candidate], rule: Rule, direction: Direction, limit: int | None = None
) -> list[Ranked]:
    """The best ``limit`` rows, best first; what is no finite number never ranks.

    Of several results with one seed the best (by the rule ``last`` the newest) counts: as runs of
    their own they would make the spread look smaller than it is. By ``all`` each is a row. Of the
    rows of one point the best alone is left, before any has its place.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    groups: dict[tuple[object, ...], list[Candidate]] = {}
    for item in candidates:
        if math.isfinite(item.value):
            key = (item.trial_id,) if rule == "all" else (*item[3:8], item.point)
            groups.setdefault(key, []).append(item)
    rows = [(_counted(group, rule, sign), group) for group in groups.values()]
    rows, tried = _best_of_points(rows, sign)
    spreads = [spread_of([item.value for item in counted]) for counted, _ in rows]
    found = [
        (standing, spread, counted, group)
        for standing, spread, (counted, group) in zip(
            standings(spreads, direction), spreads, rows, strict=True
        )
        if standing is not None and spread is not None
    ]
    found.sort(key=lambda row: (sign * row[1].mean, *_age(row[2][0])))
    return [
        _row(standing.place, standing.band, spread, counted, group, tried.get(group[0].point, 1))
        for standing, spread, counted, group in found[:limit]
    ]


def _best_of_points(
    rows: list[_Group], sign: float
) -> tuple[list[_Group], Mapping[str | None, int]]:
    """The rows without a point, the best one of each point, and how many that was chosen from."""
    best: dict[str | None, tuple[_Group, tuple[float, float, int]]] = {}
    tried: dict[str | None, int] = {}
    left: list[_Group] = []
    for counted, group in rows:
        point = group[0].point
        if point is None:
            left.append((counted, group))
            continue
        tried[point] = tried.get(point, 0) + 1
        mean = math.fsum(item.value for item in counted) / len(counted)
        order = (sign * mean, *_age(counted[0]))
        if point not in best or order < best[point][1]:
            best[point] = ((counted, group), order)
    return [*left, *(row for row, _ in best.values())], tried


def _counted(group: Sequence[Candidate], rule: Rule, sign: float) -> list[Candidate]:
    """One result a seed, the one that stands for the row first."""
    if len(group) == 1:
        return list(group)
    if rule == "last":
        ordered = sorted(group, key=_age, reverse=True)
    else:
        ordered = sorted(group, key=lambda item: (sign * item.value, *_age(item)))
    by_seed: dict[int, Candidate] = {}
    for item in ordered:
        by_seed.setdefault(item.seed, item)
    return list(by_seed.values())


def _age(item: Candidate) -> tuple[float, int]:
    return item.finished_at or 0.0, item.trial_id


def _row(
    place: int,
    band: Band | None,
    spread: Spread,
    counted: Sequence[Candidate],
    group: Sequence[Candidate],
    tried: int,
) -> Ranked:
    trained = [item.train_seconds for item in group if item.train_seconds is not None]
    return Ranked(
        place=place,
        band=band,
        spread=spread,
        shown=counted[0],
        seeds=tuple(sorted(item.seed for item in counted)),
        trial_ids=tuple(sorted(item.trial_id for item in group)),
        seconds=math.fsum(item.seconds for item in group),
        train_seconds=math.fsum(trained) if trained else None,
        tried=tried,
    )
