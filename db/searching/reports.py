"""What trials report to their sweep's search, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.orm import Session

from db.models import Experiment, SweepReport, Trial
from db.rows import insert_if_absent
from db.searching.rows import sweep_spec
from labpool import search


class Points(Protocol):
    """Points of one curve, the sequences of one length."""

    @property
    def name(self) -> str: ...
    @property
    def epochs(self) -> Sequence[float | None]: ...
    @property
    def values(self) -> Sequence[float | None]: ...


def add_reports(session: Session, trial: Trial, chunks: Sequence[Points]) -> int | None:
    """Keep what the curves say of the objective at the ends of epochs; the last that is new."""
    if trial.rung is None or not chunks:
        return None
    metric = search.reports(sweep_spec(session.get_one(Experiment, trial.experiment_id)))
    added = [
        int(epoch)
        for chunk in chunks
        if chunk.name == metric
        for epoch, value in zip(chunk.epochs, chunk.values, strict=True)
        if epoch is not None and epoch >= 1 and epoch == int(epoch)
        if _add(session, trial.id, int(epoch), value)
    ]
    return max(added, default=None)


def add_missing(session: Session, trial: Trial, epoch: int) -> None:
    """A trial at its rung has a report there, if only that it could not be measured."""
    _add(session, trial.id, epoch, None)


def hears(experiment: Experiment, trial: Trial, epoch: int) -> bool:
    """Whether the search may have something to say once ``trial`` has reported this epoch."""
    arrives = trial.halts_at is not None and epoch >= trial.halts_at
    return arrives or search.hears_epochs(sweep_spec(experiment))


def _add(session: Session, trial_id: int, epoch: int, value: float | None) -> bool:
    return insert_if_absent(session, SweepReport, trial_id=trial_id, epoch=epoch, value=value)
