"""The points of an experiment: its trials that differ in their seed alone, taken together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labpool.spread import Spread, spread_of


@dataclass(frozen=True, slots=True)
class Run:
    """One trial of an experiment. ``metrics`` are its result's, empty while there is none."""

    trial_id: int
    seed: int
    varied: Mapping[str, Any]
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """Runs that differ in their seed alone; ``varied`` sets them apart from the other points.

    ``seeds`` counts the seeds asked for, each metric's ``n`` those that have a result.
    """

    varied: Mapping[str, Any]
    trial_ids: tuple[int, ...]
    seeds: int
    metrics: Mapping[str, Spread]


def repeats_seeds(spec: Mapping[str, Any]) -> bool:
    """Whether a submitted spec asks for several seeds of anything."""
    space = spec.get("space")
    base = spec.get("base", spec)
    return base.get("repeat", 1) > 1 or (isinstance(space, Mapping) and "seed" in space)


def points_of(runs: Iterable[Run]) -> list[Point]:
    """The points, in the order of their first runs.

    Of two runs with one seed the newer one with a result counts: it is the other one repeated, and
    would make the spread look smaller than it is.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(json.dumps(_without_seed(run.varied), sort_keys=True), []).append(run)
    return [_point(group) for group in groups.values()]


def _point(runs: list[Run]) -> Point:
    by_seed: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (bool(run.metrics), run.trial_id)):
        by_seed[run.seed] = run
    counted = [by_seed[seed] for seed in sorted(by_seed)]
    names = dict.fromkeys(name for run in counted for name in run.metrics)
    spreads = {name: spread_of(_number(run.metrics.get(name)) for run in counted) for name in names}
    return Point(
        varied=_without_seed(runs[0].varied),
        trial_ids=tuple(run.trial_id for run in runs),
        seeds=len(by_seed),
        metrics={name: spread for name, spread in spreads.items() if spread is not None},
    )


def _without_seed(varied: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in varied.items() if name != "seed"}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
