"""What people ask of their trials."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import clock, transitions
from db.errors import NotPossible
from db.models import Experiment, Trial, User
from db.states import TERMINAL, TrialState
from db.submissions import refuse_when_full


def cancel_trial(session: Session, trial: Trial, by: User) -> None:
    """Transition 8. Raises NotPossible when the trial has ended; asking twice is no error."""
    actor = f"user {by.name}"
    # A slot may take or end the trial while this looks; each try then sees a later state.
    for _ in range(3):
        session.refresh(trial)
        if trial.state in TERMINAL:
            raise NotPossible(f"trial {trial.id} is already {trial.state}")
        if trial.cancel_requested and trial.state is TrialState.RUNNING:
            return
        change = (
            transitions.request_cancel
            if trial.state is TrialState.RUNNING
            else transitions.cancel_waiting
        )
        if change(session, trial, actor=actor):
            session.refresh(trial)
            return
    raise NotPossible(f"trial {trial.id} changes too quickly; try again")


def cancel_experiment(session: Session, experiment: Experiment, by: User) -> int:
    """Cancel whatever of it has not ended; how many trials that were."""
    trials = session.scalars(
        select(Trial).where(
            Trial.experiment_id == experiment.id, Trial.state.not_in(list(TERMINAL))
        )
    ).all()
    cancelled = 0
    for trial in trials:
        try:
            cancel_trial(session, trial, by)
        except NotPossible:  # it ended in the meantime
            continue
        cancelled += 1
    return cancelled


def retry_trial(session: Session, trial: Trial, by: User, max_queued: int = 5000) -> int:
    """Transition 10: a new trial like an ended one, which stays as it is.

    Raises NotPossible, and QueueFull past ``max_queued`` waiting trials of its owner.
    """
    if trial.state not in TERMINAL:
        raise NotPossible(f"trial {trial.id} is {trial.state}; only an ended one can be retried")
    refuse_when_full(session, trial.owner_id, 1, max_queued)
    # Two retries at once must not get one number; the experiment's row makes them take turns.
    session.execute(
        select(Experiment.id).where(Experiment.id == trial.experiment_id).with_for_update()
    )
    last = session.scalar(
        select(func.max(Trial.number)).where(Trial.experiment_id == trial.experiment_id)
    )
    again = Trial(
        experiment_id=trial.experiment_id,
        number=(last or 0) + 1,
        owner_id=trial.owner_id,
        parent_id=trial.id,
        kind=trial.kind,
        spec=trial.spec,
        varied=trial.varied,
        device=trial.device,
        seed=trial.seed,
        code_name=trial.code_name,
        code_digest=trial.code_digest,
        data_name=trial.data_name,
        data_digest=trial.data_digest,
        configuration_digest=trial.configuration_digest,
        fuse_key=trial.fuse_key,
        priority=trial.priority,
        queued_at=clock.now(session),
    )
    transitions.enqueue(session, [again], actor=f"user {by.name}")
    return again.id
