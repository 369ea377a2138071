"""Who moves a trial of a searched sweep takes the sweep's lock before the trial's.

The lock is the experiment's row. In the other order two trials that end at once would wait for each
other, when the search wants to move both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.models import Experiment, Trial, User
from db.searching.advancing import advance

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def sweep_lock(session: Session, trial_ids: Collection[int]) -> Iterator[None]:
    """Move these trials; then their searched sweeps go on, all in one transaction."""
    experiments = lock_sweeps_of(session, trial_ids)
    yield
    for experiment in experiments:
        advance(session, experiment)


def moves_its_sweep(
    work: Callable[Concatenate[Session, int, P], T],
) -> Callable[Concatenate[Session, int, P], T]:
    """The same for a function whose arguments begin with the session and the trial's id."""

    @wraps(work)
    def moving(session: Session, trial_id: int, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with sweep_lock(session, [trial_id]):
            return work(session, trial_id, *args, **kwargs)

    return moving


def lets_its_sweep_go_on(
    command: Callable[[Session, Trial, User], None],
) -> Callable[[Session, Trial, User], None]:
    """The same for what a user asks of a trial."""

    @wraps(command)
    def commanding(session: Session, trial: Trial, by: User) -> None:
        with sweep_lock(session, [trial.id]):
            command(session, trial, by)
        session.refresh(trial)

    return commanding


def lock_sweeps_of(session: Session, trial_ids: Collection[int]) -> list[Experiment]:
    """The searched sweeps of these trials, locked; none for most."""
    return lock_sweeps(session, Trial.id.in_(trial_ids))


def lock_sweeps(session: Session, condition: ColumnElement[bool]) -> list[Experiment]:
    """The searched sweeps of the trials for which it holds, locked in the order of their ids."""
    searched = select(Trial.experiment_id).where(condition, Trial.rung.is_not(None)).distinct()
    ids = session.scalars(searched).all()
    if not ids:
        return []
    return list(
        session.scalars(
            select(Experiment)
            .where(Experiment.id.in_(ids))
            .order_by(Experiment.id)
            # New trials refer to the row, which the stronger lock of Postgres would not let them.
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
    )
