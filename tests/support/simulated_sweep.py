"""A pool of slots that runs a sweep's trials along curves that are known, without any time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from labpool.search import Create, Promote, Prune, Row, advance, epochs, hears_epochs
from labpool.spec import SPEC, SweepSpec

Curve = Callable[[Mapping[str, Any], int], float]
"""The objective's metric of a trial with these values after so many epochs."""
METRIC = "val_accuracy"


def sweep(
    strategy: Mapping[str, Any],
    space: Mapping[str, Any] | None = None,
    length: int = 27,
    repeat: int = 1,
    **more: Any,
) -> SweepSpec:
    """A sweep over training runs of ``length`` epochs that makes val_accuracy large."""
    base = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": length}
    raw = {
        "kind": "sweep",
        "base": base | ({"repeat": repeat} if repeat > 1 else {}),
        "strategy": dict(strategy),
        "objective": {"metric": METRIC, "direction": "maximize"},
        "space": space or {"learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"}},
        **more,
    }
    spec = SPEC.validate_python(raw)
    assert isinstance(spec, SweepSpec)
    return spec


@dataclass
class Pool:
    """Runs ``spec`` on ``slots`` slots; every epoch takes ``seconds(number)``.

    ``mode`` tells what happens at a rung: trials pause, or, as other schedulers do it, the better
    ones of those that came before go on at once and the others stop for good.
    """

    spec: SweepSpec
    curve: Curve
    slots: int = 4
    seconds: Callable[[int], float] = lambda number: 1.0 + (number * 37 % 11) / 20
    mode: Literal["pausing", "stopping"] = "pausing"
    fails: Callable[[int], bool] = lambda number: False
    rows: dict[int, Row] = field(default_factory=dict)
    now: float = 0.0
    epochs_run: int = 0
    planned: int = 0
    """How often the search was asked."""

    def run(self, most_events: int = 10**6) -> Pool:
        """To the end, or as far as so many events; then again from where it is."""
        self._events: list[tuple[float, int, int]] = []
        for row in list(self.rows.values()):
            # What ran when the pool went down waits again.
            if row.state == "running":
                self.rows[row.trial_id] = replace(row, state="queued")
        self._plan()
        self._start()
        for _ in range(most_events):
            if not self._events:
                break
            self.now, _, trial_id = heapq.heappop(self._events)
            if self.rows[trial_id].state == "running":
                self._epoch(trial_id)
            self._start()
        return self

    @property
    def best(self) -> Row:
        ended = [row for row in self.rows.values() if row.state == "succeeded"]
        return max(ended, key=lambda row: (row.metrics[METRIC], -row.number))

    def states(self) -> dict[str, int]:
        found = [row.state for row in self.rows.values()]
        return {state: found.count(state) for state in sorted(set(found))}

    def actions(self) -> list[Any]:
        return advance(self.spec, sorted(self.rows.values(), key=lambda row: row.trial_id))

    def apply(self, actions: list[Any]) -> None:
        for action in actions:
            if isinstance(action, Create):
                trial_id = 100 + len(self.rows)
                numbers = {row.number for row in self.rows.values()}
                assert action.number not in numbers, f"{action.number} is made twice"
                self.rows[trial_id] = Row(trial_id, action.number, "queued", action.values, {})
            elif isinstance(action, Promote):
                row = self.rows[action.trial_id]
                assert row.state == "paused" and action.rung == row.rung + 1, (row, action)
                self.rows[row.trial_id] = replace(row, state="queued", rung=action.rung)
            elif isinstance(action, Prune):
                row = self.rows[action.trial_id]
                assert row.state in {"queued", "running", "paused"}, (row, action)
                self.rows[row.trial_id] = replace(row, state="pruned")

    def _plan(self) -> None:
        if self.mode == "stopping" and self.rows:
            return
        self.planned += 1
        self.apply(self.actions())
        again = self.actions()
        assert not again, f"asked again with nothing new, it wants {again[:3]}"

    def _start(self) -> None:
        running = sum(1 for row in self.rows.values() if row.state == "running")
        waiting = [row for row in self.rows.values() if row.state == "queued"]
        for row in waiting[: self.slots - running]:
            self.rows[row.trial_id] = replace(row, state="running")
            self._go_on(row)

    def _go_on(self, row: Row) -> None:
        heapq.heappush(
            self._events, (self.now + self.seconds(row.number), row.trial_id, row.trial_id)
        )

    def _epoch(self, trial_id: int) -> None:
        row = self.rows[trial_id]
        epoch = max(row.reports, default=0) + 1
        self.epochs_run += 1
        if self.fails(row.number):
            self._put(row, state="failed")
            return self._plan()
        values = {**row.values}
        reports = {**row.reports, epoch: self.curve(values, epoch)}
        spent = row.slot_seconds + self.seconds(row.number)
        row = self._put(row, reports=reports, slot_seconds=spent)
        if epoch == self.spec.base.epochs:  # type: ignore[union-attr]
            self._put(row, state="succeeded", metrics={METRIC: max(reports.values())})
            return self._plan()
        if epoch == epochs(self.spec, row.rung):
            return self._at_rung(row, epoch)
        if hears_epochs(self.spec):
            self._plan()
        if self.rows[trial_id].state == "running":
            self._go_on(row)
        return None

    def _at_rung(self, row: Row, epoch: int) -> None:
        if self.mode == "pausing":
            self._put(row, state="paused")
            return self._plan()
        reduction = self.spec.strategy.pruner.reduction  # type: ignore[union-attr]
        seen = [other for other in self.rows.values() if epoch in other.reports]
        better = sum(1 for other in seen if other.reports[epoch] > row.reports[epoch])
        if better < max(1, len(seen) // reduction):
            self._go_on(self._put(row, rung=row.rung + 1))
        else:
            self._put(row, state="pruned")
        return None

    def _put(self, row: Row, **changes: Any) -> Row:
        self.rows[row.trial_id] = replace(row, **changes)
        return self.rows[row.trial_id]
