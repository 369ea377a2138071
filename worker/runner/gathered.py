"""Points of curves, gathered to be sent many at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from worker import protocol
from worker.wire_types import POINTS_LIMIT_NUMBERS

BESIDE_VALUES = 3
"""Numbers of a point that all its curves share: step, epoch, time."""


@dataclass(slots=True)
class _Table:
    """Points of curves that share their steps."""

    steps: list[int] = field(default_factory=list)
    epochs: list[float | None] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(default_factory=dict)


class Gathered:
    """What one claim of one trial has measured and not yet sent."""

    def __init__(self, trial: int, fence: int) -> None:
        self._trial, self._fence = trial, fence
        self._tables: list[_Table] = []
        # Where the newest points of a curve are.
        self._newest: dict[str, _Table] = {}

    def __bool__(self) -> bool:
        return bool(self._tables)

    def add(
        self,
        steps: Sequence[int],
        epochs: Sequence[float | None],
        time_s: float,
        values: Mapping[str, Sequence[float]],
    ) -> None:
        """Points of each curve named, measured by now; steps go up.

        Raises ValidationError when the names are none.
        """
        table = self._newest.get(next(iter(values), ""))
        if table is None or table.values.keys() != values.keys():
            # Names come from the catalog's code: who is at fault is to hear of it here and now.
            protocol.Points(
                trial=self._trial, fence=self._fence, steps=(0,), epochs=(0.0,), times_s=(0.0,),
                values=dict.fromkeys(values, (None,)),
            )  # fmt: skip
            table = _Table(values={name: [] for name in values})
            self._tables.append(table)
            # A curve's points stay in their order: what shares a name goes on in the new table.
            self._newest = {
                name: one
                for name, one in self._newest.items()
                if one.values.keys().isdisjoint(values)
            } | dict.fromkeys(values, table)
        table.steps += steps
        table.epochs += epochs
        table.times_s += [time_s] * len(steps)
        for name, more in values.items():
            table.values[name] += [one if math.isfinite(one) else None for one in more]

    def take(self) -> Iterator[protocol.Points]:
        """Everything gathered since the last `take`, in messages that fit into lines."""
        tables, self._tables, self._newest = self._tables, [], {}
        for table in tables:
            at_once = POINTS_LIMIT_NUMBERS // (BESIDE_VALUES + len(table.values))
            for first in range(0, len(table.steps), at_once):
                part = slice(first, first + at_once)
                yield protocol.Points(
                    trial=self._trial,
                    fence=self._fence,
                    steps=tuple(table.steps[part]),
                    epochs=tuple(table.epochs[part]),
                    times_s=tuple(table.times_s[part]),
                    values={name: tuple(column[part]) for name, column in table.values.items()},
                )
