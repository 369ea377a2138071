"""Repeated trials as strategies see them: one row for all seeds of a point, with their means.

The trials of point ``n``, each repeated ``times``, have the numbers from ``n * times`` on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from labpool.search.base import MOVING, PAUSED, QUEUED, SUCCEEDED, Action, Create, Promote, Row
from labpool.spec import SweepSpec

# What a point is as a whole, if one of its trials is: what it waits for comes first.
_ORDER = (QUEUED, "running", PAUSED, SUCCEEDED, "pruned")


def times(spec: SweepSpec) -> int:
    """How many trials each point has."""
    return int(getattr(spec.base, "repeat", 1))


def folded(spec: SweepSpec, rows: Sequence[Row]) -> list[Row]:
    """One row a point, in the order of their numbers; ``trial_id`` is then the point's number.

    Failed trials count only where a point has no others.
    """
    groups: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.number):
        groups.setdefault(row.number // times(spec), []).append(row)
    return [_point(number, group) for number, group in groups.items()]


def unfolded(spec: SweepSpec, rows: Sequence[Row], actions: Iterable[Action]) -> list[Action]:
    """What the actions on points are for their trials."""
    found: list[Action] = []
    for action in actions:
        if isinstance(action, Create):
            found += _creates(spec, action)
            continue
        for row in rows:
            if row.number // times(spec) != action.trial_id:
                continue
            if isinstance(action, Promote) and row.state == PAUSED:
                found.append(Promote(row.trial_id, action.rung))
            elif not isinstance(action, Promote) and row.state in {*MOVING, PAUSED}:
                found.append(type(action)(row.trial_id))
    return found


def missing(spec: SweepSpec, rows: Sequence[Row]) -> list[Create]:
    """The trials that points which have been begun still lack."""
    made = {row.number for row in rows}
    points = {row.number // times(spec): row.values for row in rows}
    return [
        create
        for number, values in sorted(points.items())
        for create in _creates(spec, Create(number, _without_seed(values)))
        if create.number not in made
    ]


def _creates(spec: SweepSpec, point: Create) -> list[Create]:
    count, first = times(spec), spec.base.seed
    return [
        Create(point.number * count + step, {**point.values, "seed": first + step}, point.rung)
        for step in range(count)
    ]


def _point(number: int, group: Sequence[Row]) -> Row:
    counted = [row for row in group if row.state in _ORDER] or list(group)
    state = min((row.state for row in counted if row.state in _ORDER), key=_ORDER.index, default="")
    names = {name for row in counted for name in row.metrics}
    return Row(
        trial_id=number,
        number=number,
        state=state or group[0].state,
        values=_without_seed(group[0].values),
        metrics={
            name: fmean(row.metrics[name] for row in counted if name in row.metrics)
            for name in names
        },
        rung=min(row.rung for row in counted),
        reports=_means(counted),
        slot_seconds=sum(row.slot_seconds for row in group),
    )


def _means(group: Sequence[Row]) -> dict[int, float]:
    """The mean of all at each epoch that all have come to; who ended earlier keeps its last one."""
    reports = [dict(row.reports) for row in group]
    epochs = sorted({epoch for known in reports for epoch in known})
    for row, known in zip(group, reports, strict=True):
        if row.state == SUCCEEDED and known:
            last = max(known)
            known.update({epoch: known[last] for epoch in epochs if epoch > last})
    return {
        epoch: fmean(known[epoch] for known in reports)
        for epoch in epochs
        if all(epoch in known for known in reports)
    }


def _without_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "seed"}
