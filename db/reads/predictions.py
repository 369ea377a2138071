"""Predictions with their answers, and what one waits for."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from db import clock
from db.models import Prediction, Trial, Worker
from db.states import OPEN_PREDICTIONS, PredictionState
from db.workers import alive


def find(session: Session, trial_id: int, prediction_id: int) -> Prediction | None:
    """A trial's prediction with its outputs."""
    query = (
        select(Prediction)
        .where(Prediction.id == prediction_id, Prediction.trial_id == trial_id)
        .options(undefer(Prediction.outputs))
    )
    return session.scalars(query).one_or_none()


def is_open(prediction: Prediction) -> bool:
    """Whether it has neither an answer nor an error yet."""
    return prediction.state in OPEN_PREDICTIONS


def state_of(session: Session, prediction_id: int) -> PredictionState | None:
    """Its state alone; None when there is no such prediction (any more)."""
    return session.scalar(select(Prediction.state).where(Prediction.id == prediction_id))


def is_overdue(session: Session, prediction: Prediction) -> bool:
    """Whether it should have ended by now."""
    return is_open(prediction) and clock.now(session) >= prediction.deadline_at


def waits_for(session: Session, prediction: Prediction) -> str:
    """What an open prediction waits for, in a sentence."""
    if prediction.state is PredictionState.RUNNING:
        return "A worker is at work on it."
    trial = session.get_one(Trial, prediction.trial_id)
    workers = session.scalars(select(Worker).where(alive())).all()
    if not workers:
        return "No worker is connected; start one with `labpool worker`."
    fitting = [
        worker
        for worker in workers
        if trial.code_digest in worker.code_digests
        and (trial.data_digest is None or trial.data_digest in worker.data_digests)
    ]
    if not fitting:
        return _changed(trial)
    if all(worker.drain_at is not None for worker in fitting):
        return "Every worker that could answer is being drained."
    ahead = session.scalar(
        select(func.count())
        .select_from(Prediction)
        .where(Prediction.state.in_(OPEN_PREDICTIONS), Prediction.id < prediction.id)
    )
    if ahead:
        return f"Workers answer one at a time, and {ahead} asked before."
    return "A worker takes it in a moment."


def _changed(trial: Trial) -> str:
    data = f" on {trial.data_name!r}" if trial.data_name else ""
    return (
        f"No worker has the {trial.code_name!r}{data} that the trial was made from (digest "
        f"{trial.code_digest[:12]}): the catalog has changed since. Restart the workers on the "
        "version that holds it, or train again."
    )
