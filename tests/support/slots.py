"""A real pool of slots in the test's process, on a real database."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import commands, submissions, transitions
from db.engine import Database
from db.models import Attempt, Trial
from db.states import TERMINAL, Outcome, TrialState
from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT, Settings
from tests.support.pool import person
from worker.devices import Device
from worker.pool import SlotPool

FAKE_RUNNER = (sys.executable, str(CHECKOUT / "tests" / "support" / "fake_runner.py"))
PATIENCE_S = 240.0
DEVICE = Device("cpu", "a processor", 1, ("train", "benchmark"))


def settings_for(database: Database, folder: Path, **changes: Any) -> Settings:
    """Settings with short times, everything below ``folder``, and no broker at all."""
    return Settings(
        **{
            "data_dir": folder / "data",
            "gpu_lock_dir": folder / "gpu-locks",
            "database_url": database.engine.url.render_as_string(hide_password=False),
            "broker_url": f"redis+socket://{folder}/no-broker.sock",
            "lease_ttl_s": 30.0,
            "beat_s": 0.2,
            "poll_s": 0.2,
            "drain_grace_s": 10.0,
            **changes,
        }
    )


@contextmanager
def running_pool(
    settings: Settings,
    command: Sequence[str] = FAKE_RUNNER,
    devices: Sequence[Device] = (DEVICE,),
    **more: Any,
) -> Iterator[SlotPool]:
    """A started pool; stopped in order at the end. ``more`` is for its own keywords."""
    pool = SlotPool(settings, devices, command, **more)
    pool.start()
    try:
        yield pool
    finally:
        pool.close()
        pool.join()


def submit(database: Database, catalog: Catalog, spec: Mapping[str, Any]) -> list[int]:
    """The ids of a submission's trials."""
    planned = plan(dict(spec), catalog)
    return database.run(
        lambda session: list(submissions.submit(session, person(session), planned).trial_ids)
    )


def behaving(seed: int, **changes: Any) -> dict[str, Any]:
    """A spec for the fake runner."""
    return {"kind": "train", "model": "softmax", "dataset": "digits", "seed": seed, **changes}


def behave(database: Database, trial_id: int, seed: int) -> None:
    """From its next attempt on the trial asks for another behaviour."""

    def change(session: Session) -> None:
        row = session.get_one(Trial, trial_id)
        row.spec = {**row.spec, "seed": seed}

    database.run(change)


def ask(database: Database, command: str, trial_id: int) -> None:
    """What its owner asks of a trial: pause, resume, stop or cancel."""
    verb = getattr(commands, f"{command}_trial")
    database.run(lambda session: verb(session, session.get_one(Trial, trial_id), person(session)))


def take_away(database: Database, trial_id: int) -> None:
    """What the sweeper does to a silent owner."""

    def take(session: Session) -> None:
        transitions.requeue(
            session,
            session.get_one(Trial, trial_id),
            actor="pool",
            outcome=Outcome.LOST,
            reason="taken away",
            lost=True,
        )

    database.run(take)


def trial(database: Database, trial_id: int) -> Trial:
    """The trial's row."""
    with database.snapshot() as session:
        return session.get_one(Trial, trial_id)


def attempts(database: Database, trial_id: int) -> list[Attempt]:
    """Its attempts, oldest first."""
    with database.snapshot() as session:
        statement = select(Attempt).where(Attempt.trial_id == trial_id).order_by(Attempt.fence)
        return list(session.scalars(statement))


def wait_until(condition: Callable[[], bool], what: str = "it") -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true in time"
        time.sleep(0.02)


def wait_for_end(database: Database, *trial_ids: int) -> list[Trial]:
    """The trials once each has come to an end."""
    wait_until(
        lambda: all(trial(database, trial_id).state in TERMINAL for trial_id in trial_ids),
        f"an end of trials {trial_ids}",
    )
    return [trial(database, trial_id) for trial_id in trial_ids]


def wait_for_state(database: Database, trial_id: int, state: TrialState) -> Trial:
    """The trial once it is in a state."""
    wait_until(lambda: trial(database, trial_id).state is state, f"{state} of trial {trial_id}")
    return trial(database, trial_id)
