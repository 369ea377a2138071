"""A sweep's next step: what its strategy, its pruning and its budget say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labpool.errors import Problem
from labpool.search import grid, qmc, random, tpe
from labpool.search.asha import ASHA
from labpool.search.base import (
    PAUSED,
    PRUNED,
    QUEUED,
    Action,
    Promote,
    Prune,
    Pruning,
    Row,
    Search,
)
from labpool.search.median import MEDIAN
from labpool.search.repeats import folded, missing, times, unfolded
from labpool.spec import SweepSpec

STRATEGIES: dict[str, Search] = {
    "grid": grid.SEARCH,
    "random": random.SEARCH,
    "qmc": qmc.SEARCH,
    "tpe": tpe.SEARCH,
}
PRUNERS: dict[str, Pruning] = {"median": MEDIAN, "asha": ASHA}


def advance(spec: SweepSpec, rows: Sequence[Row]) -> list[Action]:
    """What to do next, given every trial there is. Applied once, in order, it leaves nothing to do
    until a row changes."""
    if _is_spent(spec, rows):
        return [Prune(row.trial_id) for row in rows if row.state in (QUEUED, PAUSED)]
    if times(spec) == 1:
        return _advance(spec, rows)
    points = folded(spec, rows)
    return [*missing(spec, rows), *unfolded(spec, rows, _advance(spec, points))]


def epochs(spec: SweepSpec, rung: int) -> int | None:
    """The epoch after which a trial at ``rung`` halts, paused; None if it runs to its end."""
    pruning = _pruning(spec)
    return pruning.epochs(spec, rung) if pruning else None


def hears_epochs(spec: SweepSpec) -> bool:
    """Whether `advance` has something to say after an epoch, not at pauses and ends alone."""
    pruning = _pruning(spec)
    return pruning is not None and pruning.hears_epochs


def heeds_results(spec: SweepSpec) -> bool:
    """Whether anything of the sweep depends on how its trials do: then it has an objective."""
    return STRATEGIES[spec.strategy.method].heeds_results or _pruning(spec) is not None


def reports(spec: SweepSpec) -> str | None:
    """The metric that rows need by epochs, as `reports`; None where they need none."""
    return spec.objective.metric if spec.objective and heeds_results(spec) else None


def count(spec: SweepSpec) -> int:
    """How many trials the sweep comes to, every repeat counted."""
    return STRATEGIES[spec.strategy.method].count(spec) * times(spec)


def check(spec: SweepSpec) -> list[Problem]:
    """What the strategy and the pruning cannot do with the sweep."""
    pruning = _pruning(spec)
    found = STRATEGIES[spec.strategy.method].check(spec)
    return found + (pruning.check(spec) if pruning else [])


def _advance(spec: SweepSpec, rows: Sequence[Row]) -> list[Action]:
    search, pruning = STRATEGIES[spec.strategy.method], _pruning(spec)
    judged = pruning.advance(spec, rows, search.count(spec)) if pruning else []
    return [*judged, *search.advance(spec, _after(rows, judged))]


def _after(rows: Sequence[Row], actions: Sequence[Promote | Prune]) -> list[Row]:
    """The rows as the actions leave them, so that one step makes room and fills it."""
    changed: dict[int, Row] = {}
    known = {row.trial_id: row for row in rows}
    for action in actions:
        row = known[action.trial_id]
        changed[row.trial_id] = (
            replace(row, state=QUEUED, rung=action.rung)
            if isinstance(action, Promote)
            else replace(row, state=PRUNED)
        )
    return [changed.get(row.trial_id, row) for row in rows]


def _pruning(spec: SweepSpec) -> Pruning | None:
    pruner = spec.strategy.pruner
    return None if pruner is None else PRUNERS[pruner.method]


def _is_spent(spec: SweepSpec, rows: Sequence[Row]) -> bool:
    budget = spec.budget_slot_seconds
    return budget is not None and sum(row.slot_seconds for row in rows) >= budget
