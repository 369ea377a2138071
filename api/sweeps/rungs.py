"""The table of a sweep's rungs: who waits, runs, is paused, went on or ended at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from api.sweeps.judging import Judge
from db.reads.sweeps import Sweep, SweepTrial
from labpool import search
from labpool.search.asha import table
from labpool.search.repeats import folded, times

PLACES = ("waiting", "running", "paused", "promoted", "pruned", "done", "failed")
"""What a trial is at a rung, in the order in which it is shown."""

_ENDED = {"succeeded": "done", "pruned": "pruned", "queued": "waiting", "running": "running"}


@dataclass(frozen=True, slots=True)
class Rung:
    """One line. ``epochs`` that a trial has when it gets there; ``counts`` by `PLACES`, absent
    means none. ``members``: trials that it will have seen in the end, of which ``places`` go on;
    None at the top. ``to_come``: trials that the search has still to make."""

    number: int
    epochs: int
    is_top: bool
    counts: Mapping[str, int]
    members: int | None
    places: int | None
    to_come: int
    best: float | None
    best_trial: int | None

    @property
    def seen(self) -> int:
        return sum(self.counts.values())


def rungs_of(sweep: Sweep, judge: Judge | None) -> list[Rung]:
    """From the first rung to the top, where trials have been trained to their end; none of a sweep
    whose trials do not halt on their way."""
    whole = getattr(sweep.spec.base, "epochs", None)
    if search.epochs(sweep.spec, 0) is None or whole is None:
        return []
    each = times(sweep.spec)
    rows = [trial.row for trial in sweep.trials]
    points = folded(sweep.spec, rows) if each > 1 else rows
    lines = table(sweep.spec, points, search.count(sweep.spec) // each)
    coming = 0 if sweep.halt == "stopped" else search.count(sweep.spec) - len(rows)
    found = [
        _rung(sweep, judge, line.number, line.epochs, line.members * each, line.places * each)
        for line in lines
    ]
    top = _rung(sweep, judge, len(lines), whole, None, None)
    return [_with_coming(found[0], max(0, coming)), *found[1:], top]


def _rung(
    sweep: Sweep,
    judge: Judge | None,
    number: int,
    epochs: int,
    members: int | None,
    places: int | None,
) -> Rung:
    here = [trial for trial in sweep.trials if (trial.rung or 0) >= number]
    values = {}
    for trial in here if judge else ():
        value = judge.until(trial, epochs) if judge and _has_come(trial, number, epochs) else None
        if value is not None:
            values[trial.row.trial_id] = value
    best = judge.better(values) if judge else None
    return Rung(
        number=number,
        epochs=epochs,
        is_top=members is None,
        counts=dict(Counter(_place(trial, number) for trial in here)),
        members=members,
        places=places,
        to_come=0,
        best=None if best is None else values[best],
        best_trial=best,
    )


def _with_coming(rung: Rung, to_come: int) -> Rung:
    return Rung(
        rung.number, rung.epochs, rung.is_top, rung.counts, rung.members, rung.places,
        to_come, rung.best, rung.best_trial,
    )  # fmt: skip


def _place(trial: SweepTrial, number: int) -> str:
    if (trial.rung or 0) > number:
        return "promoted"
    return _ENDED.get(trial.state, "paused" if trial.state == "paused" else "failed")


def _has_come(trial: SweepTrial, number: int, epochs: int) -> bool:
    """To be the best of a rung is to have been trained as far."""
    return (trial.rung or 0) > number or any(at >= epochs for at in trial.row.reports)
