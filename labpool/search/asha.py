"""Successive halving that pauses: trials stop at rungs and the better ones go on from there.

A trial goes up as soon as none that is still on its way to its rung can take its place any more.
So hardly any goes up by mistake, as happens where early trials are judged against few others. Only
when nothing of the sweep waits for a slot does one go up without being sure: the best of those that
have arrived. The table of rungs is made of the rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labpool.errors import Problem, pointer
from labpool.search.base import MOVING, PAUSED, QUEUED, SUCCEEDED, Promote, Prune, Row
from labpool.search.scores import best_until
from labpool.spec import SweepSpec, TrainSpec
from labpool.strategy_form import AshaPruner


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the table. ``arrived`` are its trials with a score there, the best first, of
    ``members`` that it will have seen in the end, of which ``places`` go up."""

    number: int
    epochs: int
    arrived: tuple[Row, ...]
    members: int
    places: int

    @property
    def sure(self) -> list[Row]:
        """Those that wait here and have their place whatever is still to come."""
        coming = max(0, self.members - len(self.arrived))
        return self._waiting(self.places - coming)

    def likely(self, reduction: int) -> list[Row]:
        """Those that wait here and are among the best of what has arrived."""
        return self._waiting(min(self.places, len(self.arrived) // reduction))

    def _waiting(self, first: int) -> list[Row]:
        best = self.arrived[: max(0, first)]
        return [row for row in best if row.rung == self.number and row.state == PAUSED]


class Asha:
    hears_epochs = False

    def check(self, spec: SweepSpec) -> list[Problem]:
        if not isinstance(spec.base, TrainSpec):
            message = "is for training runs; a benchmark has no epochs."
            return [Problem("/strategy/pruner", message, "Leave it out.")]
        if "epochs" in spec.space:
            message = "is what asha decides: it trains the better trials for more epochs."
            where = pointer("space", "epochs")
            return [Problem(where, message, "Set epochs in the base, or leave out the pruner.")]
        if spec.base.epochs is None:
            message = "is missing: asha needs to know how far the best trials are trained."
            return [Problem("/base/epochs", message)]
        if _pruner(spec).min_epochs >= spec.base.epochs:
            message = f"must be less than the {spec.base.epochs} epochs of the base."
            return [Problem("/strategy/pruner/min_epochs", message)]
        return []

    def epochs(self, spec: SweepSpec, rung: int) -> int | None:
        pruner, most = _pruner(spec), getattr(spec.base, "epochs", None)
        at: int = pruner.min_epochs * pruner.reduction**rung
        return at if most is None or at < most else None

    def advance(self, spec: SweepSpec, rows: Sequence[Row], count: int) -> list[Promote | Prune]:
        rungs = table(spec, rows, count)
        sure = [Promote(row.trial_id, rung.number + 1) for rung in rungs for row in rung.sure]
        if sure or any(row.state == QUEUED for row in rows):
            return list(sure)
        reduction = _pruner(spec).reduction
        for rung in reversed(rungs):
            for row in rung.likely(reduction):
                return [Promote(row.trial_id, rung.number + 1)]
        if len(rows) < count or not all(_is_settled(row, rungs) for row in rows):
            return []
        return [Prune(row.trial_id) for row in rows if row.state == PAUSED]


def table(spec: SweepSpec, rows: Sequence[Row], count: int) -> list[Rung]:
    """The rungs below the top, the first one first. ``count`` trials are there to be."""
    rungs: list[Rung] = []
    members = max(count, len(rows))
    reduction = _pruner(spec).reduction
    number = 0
    while (epochs := Asha().epochs(spec, number)) is not None:
        here = [row for row in rows if row.rung >= number]
        arrived = [row for row in here if _has_arrived(row, number, epochs)]
        gone = sum(1 for row in here if not _has_arrived(row, number, epochs) and _has_ended(row))
        arrived.sort(key=lambda row: (-best_until(spec, row.reports, epochs), row.number))
        members -= gone
        places = max(1, members // reduction)
        rungs.append(Rung(number, epochs, tuple(arrived), members, places))
        # Who is among the best and has ended keeps its place, and comes to no further rung.
        above = sum(1 for row in here if row.rung > number)
        ended = sum(1 for row in arrived[:places] if row.rung == number and _has_ended(row))
        members = above + max(0, places - above - ended)
        number += 1
    return rungs


def _pruner(spec: SweepSpec) -> AshaPruner:
    if not isinstance(spec.strategy.pruner, AshaPruner):
        raise TypeError(spec.strategy.method)
    return spec.strategy.pruner


def _has_arrived(row: Row, rung: int, epochs: int) -> bool:
    if row.rung > rung or row.state == SUCCEEDED:
        return True
    return any(epoch >= epochs for epoch in row.reports)


def _has_ended(row: Row) -> bool:
    return row.state not in MOVING and row.state != PAUSED


def _is_settled(row: Row, rungs: Sequence[Rung]) -> bool:
    """Whether nothing but a promotion can move it; one that a person paused goes on some day."""
    if row.state == PAUSED:
        return row.rung < len(rungs) and row in rungs[row.rung].arrived
    return row.state not in MOVING


ASHA = Asha()
