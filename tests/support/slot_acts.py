"""What tests do to a trial on a slot, and wait for."""

from __future__ import annotations

from sqlalchemy import select

from db import commands
from db.engine import Database
from db.models import Checkpoint, Trial
from db.states import TrialState
from tests.support.pool import person
from tests.support.slots import (
    trial,
    wait_until,
)


def wait_for_checkpoint(database: Database, trial_id: int) -> None:
    """Until one is recorded."""

    def there() -> bool:
        with database.snapshot() as session:
            statement = select(Checkpoint.id).where(Checkpoint.trial_id == trial_id)
            return session.scalar(statement) is not None

    wait_until(there, "a checkpoint")


def runs(database: Database, trial_id: int) -> bool:
    """Whether it is at work now."""
    return trial(database, trial_id).state is TrialState.RUNNING


def runner_pid(pool: object) -> int:
    """That of the first slot's runner; -1 without one."""
    runner = pool.slots[0]._runners.current  # type: ignore[attr-defined]
    return -1 if runner is None else int(runner.pid)


def cancel(database: Database, trial_id: int) -> None:
    """Somebody cancels it."""
    database.run(
        lambda session: commands.cancel_trial(
            session, session.get_one(Trial, trial_id), person(session)
        )
    )


def behave(database: Database, trial_id: int, seed: int) -> None:
    """From its next attempt on the trial asks for another behaviour."""

    def change(session: object) -> None:
        row = session.get_one(Trial, trial_id)  # type: ignore[attr-defined]
        row.spec = {**row.spec, "seed": seed}

    database.run(change)
