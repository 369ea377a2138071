"""A sweep as its page shows it: its trials as its search sees them, and every stint on a slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import clock
from db.models import Attempt, Experiment, Slot, Trial
from db.searching.rows import rows_of
from labpool.search import Row
from labpool.spec import SPEC, SweepSpec


@dataclass(frozen=True, slots=True)
class Stint:
    """One attempt at a trial. Times are epoch seconds; ``seconds`` of the slot that count for it,
    in a group its part, None while it runs. Those of a group have one ``lease_id``."""

    trial_id: int
    lease_id: int
    slot: str
    started_at: float
    ended_at: float | None
    seconds: float | None
    charged: bool
    resumed_epoch: int


@dataclass(frozen=True, slots=True)
class SweepTrial:
    """One of the trials that the sweep planned. ``row`` is what its search sees of it, but for
    ``state``, which is the trial's own; ``whole`` are the epochs it has when it runs to its end."""

    row: Row
    state: str
    at_rung: bool
    held: bool
    rung: int | None
    halts_at: int | None
    epochs_done: float
    whole: int | None
    progress_at: float | None
    finished_at: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """All of it, in as many statements however many trials it has. ``code_name``: of its model or
    kernel, of the first trial where it varies."""

    spec: SweepSpec
    created_at: float
    now: float
    halt: str | None
    code_name: str
    trials: Sequence[SweepTrial]
    stints: Sequence[Stint]

    @property
    def stints_of(self) -> Mapping[int, Sequence[Stint]]:
        """By trial, the first one first."""
        found: dict[int, list[Stint]] = {}
        for stint in self.stints:
            found.setdefault(stint.trial_id, []).append(stint)
        return found


def sweep_of(session: Session, experiment_id: int) -> Sweep | None:
    """The sweep; None where the experiment is none, or of a form that is not known any more."""
    experiment = session.get_one(Experiment, experiment_id)
    try:
        spec = SPEC.validate_python(dict(experiment.spec))
    except ValidationError:
        return None
    if not isinstance(spec, SweepSpec):
        return None
    rows = rows_of(session, experiment, spec)
    mine = (Trial.experiment_id == experiment_id) & Trial.point.is_not(None)
    trials = {trial.id: trial for trial in session.scalars(select(Trial).where(mine))}
    return Sweep(
        spec=spec,
        created_at=experiment.created_at,
        now=clock.now(session),
        halt=experiment.search_halt,
        code_name=trials[rows[0].trial_id].code_name if rows else "",
        trials=[_trial(row, trials[row.trial_id]) for row in rows],
        stints=_stints(session, experiment_id),
    )


def _trial(row: Row, trial: Trial) -> SweepTrial:
    whole = trial.spec.get("epochs")
    return SweepTrial(
        row=row,
        state=trial.state.value,
        at_rung=trial.at_rung,
        held=trial.held,
        rung=trial.rung,
        halts_at=trial.halts_at,
        epochs_done=trial.progress_done if trial.progress_unit == "epoch" else 0.0,
        whole=whole if isinstance(whole, int) else None,
        progress_at=trial.progress_at,
        finished_at=trial.finished_at,
    )


def _stints(session: Session, experiment_id: int) -> list[Stint]:
    query = (
        select(Attempt, Slot.worker_id, Slot.name)
        .join(Trial, Trial.id == Attempt.trial_id)
        .join(Slot, Slot.id == Attempt.slot_id)
        .where(Trial.experiment_id == experiment_id, Trial.point.is_not(None))
        .order_by(Attempt.id)
    )
    return [
        Stint(
            trial_id=attempt.trial_id,
            lease_id=attempt.lease_id,
            slot=f"{name} on {worker_id}",
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            seconds=attempt.slot_seconds,
            charged=attempt.charged,
            resumed_epoch=attempt.resumed_epoch or 0,
        )
        for attempt, worker_id, name in session.execute(query)
    ]
