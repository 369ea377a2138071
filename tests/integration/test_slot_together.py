"""A real slot and a real runner on a sweep whose trials are trained together."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from api.schemas.trials import trained_together
from db import replay
from db.engine import Database
from db.models import Checkpoint, Lease, MetricChunk, Result
from db.reads.files import attempts_of
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support.slot_acts import cancel
from tests.support.slots import (
    ask,
    attempts,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_for_state,
    wait_until,
)
from worker.pool import SlotPool
from worker.process import COMMAND

BASE: dict[str, Any] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [8]},
    "dataset": "spirals",
    "dataset_parameters": {"examples": 300},
    "optimizer": "sgd",
    "epochs": 3,
}
SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": BASE,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.01, 0.03, 0.1, 0.3], "seed": [1, 2]},
    "fuse": 8,
}
LONG: dict[str, Any] = {
    **SWEEP,
    "base": {**BASE, "epochs": 100_000, "checkpoint_every_epochs": 20},
    "space": {"learning_rate": [0.001, 0.003], "seed": [1, 2]},
}


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def leases(database: Database) -> int:
    with database.snapshot() as session:
        return session.scalars(select(func.count()).select_from(Lease)).one()


def counted(database: Database, table: Any, trial_id: int) -> int:
    with database.snapshot() as session:
        query = select(func.count()).select_from(table).where(table.trial_id == trial_id)
        return session.scalars(query).one()


def result_of(database: Database, trial_id: int) -> Result:
    with database.snapshot() as session:
        return session.get_one(Result, trial_id)


def together(database: Database, trial_id: int) -> list[int | None]:
    """For each attempt how many were trained with it."""
    found = [attempt.environment or {} for attempt in attempts(database, trial_id)]
    return [environment.get("trained_together") for environment in found]


def runner_of(pool: SlotPool) -> int:
    runner = pool.slots[0]._runners.current
    assert runner is not None
    return runner.pid


def under_way(database: Database, ids: list[int]) -> Callable[[], bool]:
    """Whether all have a checkpoint."""
    return lambda: all(counted(database, Checkpoint, trial_id) for trial_id in ids)


def assert_agrees(database: Database) -> None:
    with database.snapshot() as session:
        assert list(replay.differences(session)) == []


def test_a_sweep_in_one_lease(database: Database, catalog: Catalog, settings: Settings) -> None:
    """Each trial has what it would have alone, and the slot's time is split among them."""
    ids = submit(database, catalog, SWEEP)
    with running_pool(settings, COMMAND):
        trials = wait_for_end(database, *ids)
    assert [row.state for row in trials] == [TrialState.SUCCEEDED] * 8
    assert leases(database) == 1
    seconds = 0.0
    for trial_id in ids:
        assert together(database, trial_id) == [8]
        with database.snapshot() as session:
            assert trained_together(attempts_of(session, trial_id)) == 8
        assert counted(database, Checkpoint, trial_id) == 3
        assert counted(database, MetricChunk, trial_id) > 0
        result = result_of(database, trial_id)
        assert result.metrics["epochs_run"] == 3
        assert "test_accuracy" in result.metrics
        [attempt] = attempts(database, trial_id)
        assert attempt.slot_seconds is not None
        seconds += attempt.slot_seconds
    with database.snapshot() as session:
        [lease] = session.scalars(select(Lease)).all()
    assert lease.ended_at is not None
    assert seconds == pytest.approx(lease.ended_at - lease.created_at, rel=0.01)
    assert_agrees(database)


def test_a_runner_that_is_killed(database: Database, catalog: Catalog, settings: Settings) -> None:
    """All come back, uncharged, go on from their checkpoints by themselves, and succeed."""
    ids = submit(database, catalog, LONG)
    with running_pool(settings, COMMAND) as pool:
        wait_until(under_way(database, ids), "a checkpoint of each")
        os.kill(runner_of(pool), signal.SIGKILL)
        wait_until(lambda: all(trial(database, one).alone for one in ids), "all to be alone")
        for trial_id in ids:
            # Whoever waits has its turn when the one before it has stopped.
            wait_for_state(database, trial_id, TrialState.RUNNING)
            wait_until(lambda one=trial_id: together(database, one)[1:] == [None])
            ask(database, "stop", trial_id)
            wait_for_end(database, trial_id)
    for trial_id in ids:
        assert trial(database, trial_id).state is TrialState.SUCCEEDED
        first, second = attempts(database, trial_id)
        assert first.outcome is Outcome.RELEASED and not first.charged
        assert "crashed; it runs alone now" in (first.reason or "")
        assert second.resumed_epoch is not None and second.resumed_epoch >= 20
    assert_agrees(database)


def test_one_is_cancelled(database: Database, catalog: Catalog, settings: Settings) -> None:
    """The others go on in the same lease, and one that is paused goes on later."""
    ids = submit(database, catalog, LONG)
    with running_pool(settings, COMMAND):
        wait_until(under_way(database, ids), "a checkpoint of each")
        cancel(database, ids[1])
        wait_for_state(database, ids[1], TrialState.CANCELLED)
        ask(database, "pause", ids[2])
        wait_for_state(database, ids[2], TrialState.PAUSED)
        for trial_id in (ids[0], ids[3]):
            assert trial(database, trial_id).state is TrialState.RUNNING
            ask(database, "stop", trial_id)
        wait_for_end(database, ids[0], ids[3])
        assert leases(database) == 1
        ask(database, "resume", ids[2])
        wait_for_state(database, ids[2], TrialState.RUNNING)
        ask(database, "stop", ids[2])
        wait_for_end(database, ids[2])
    assert trial(database, ids[2]).state is TrialState.SUCCEEDED
    assert_agrees(database)


def test_one_diverges(database: Database, catalog: Catalog, settings: Settings) -> None:
    """It fails by itself; its neighbours succeed."""
    dense = {"type": "Dense", "units": 16, "activation": "leaky_relu"}
    layers = {"layers": [{"type": "Flatten"}, dense, dense]}
    base = {**BASE, "model": "layers", "parameters": layers}
    space = {"learning_rate": [0.01, 1e2, 0.02]}
    ids = submit(database, catalog, {**SWEEP, "base": base, "space": space})
    with running_pool(settings, COMMAND):
        trials = wait_for_end(database, *ids)
    assert [row.state for row in trials] == [
        TrialState.SUCCEEDED, TrialState.FAILED, TrialState.SUCCEEDED,
    ]  # fmt: skip
    assert trials[1].reason_kind == "diverged"
    assert leases(database) == 1


def test_what_cannot_be_trained_together(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    """One runs at once, the others come back for it; the slot makes no more such groups."""
    base = {"kind": "train", "model": "relu100_tf", "dataset": "digits", "epochs": 1}
    ids = submit(database, catalog, {**SWEEP, "base": base, "fuse": 4})
    with running_pool(settings, COMMAND):
        trials = wait_for_end(database, *ids)
    assert [row.state for row in trials] == [TrialState.SUCCEEDED] * 8
    apart = [row for row in trials if row.alone]
    assert len(apart) == 3
    for row in apart:
        released, last = attempts(database, row.id)
        assert "cannot be trained together" in (released.reason or "") and not released.charged
        assert last.outcome is Outcome.SUCCEEDED
    # The one that stayed, and seven leases of one trial each.
    assert leases(database) == 8
    assert_agrees(database)
