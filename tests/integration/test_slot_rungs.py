"""A real slot and a real runner on sweeps whose search pauses, promotes and prunes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db import replay
from db.engine import Database
from db.models import Attempt, Experiment, Result, SweepReport, Trial
from db.searching.rows import rows_of, sweep_spec
from db.states import Outcome, TrialState
from labpool import search
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support.slots import running_pool, settings_for, submit, wait_for_end, wait_until
from worker.process import COMMAND

BASE: dict[str, Any] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [8]},
    "dataset": "spirals",
    "dataset_parameters": {"examples": 300},
    "epochs": 4,
    "learning_rate_decay": 0.9,
}
ASHA: dict[str, Any] = {
    "kind": "sweep",
    "base": BASE,
    "strategy": {"method": "grid", "pruner": {"method": "asha", "min_epochs": 1, "reduction": 2}},
    "space": {"learning_rate": [0.001, 0.01, 0.1, 1.0]},
}
MEDIAN: dict[str, Any] = {
    **ASHA,
    "base": {**BASE, "epochs": 120, "checkpoint_every_epochs": 40},
    "strategy": {"method": "grid", "pruner": {"method": "median", "min_trials": 1}},
    "space": {"learning_rate": [0.1, 1e-7]},
}


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def result_of(database: Database, trial_id: int) -> Result:
    with database.snapshot() as session:
        return session.get_one(Result, trial_id)


def assert_agrees(database: Database) -> None:
    with database.snapshot() as session:
        assert list(replay.differences(session)) == []
        for sweep in session.scalars(select(Experiment).where(Experiment.kind == "sweep")):
            spec = sweep_spec(sweep)
            assert search.advance(spec, rows_of(session, sweep, spec)) == []


def outcomes(database: Database, trial_id: int) -> list[Outcome | None]:
    with database.snapshot() as session:
        return list(session.scalars(
            select(Attempt.outcome).where(Attempt.trial_id == trial_id).order_by(Attempt.fence)
        ))  # fmt: skip


def test_the_best_of_a_sweep_ends_as_if_it_had_never_stopped(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    ids = submit(database, catalog, ASHA)
    with running_pool(settings, COMMAND):
        trials = wait_for_end(database, *ids)
        [best] = [row for row in trials if row.state is TrialState.SUCCEEDED]
        rate = best.spec["learning_rate"]
        [plain] = submit(database, catalog, {**BASE, "learning_rate": rate})
        wait_for_end(database, plain)
    assert sorted(row.rung or 0 for row in trials) == [0, 0, 1, 2]
    assert [row.state for row in trials].count(TrialState.PRUNED) == 3
    assert outcomes(database, best.id) == [Outcome.PAUSED, Outcome.PAUSED, Outcome.SUCCEEDED]
    stopped, whole = result_of(database, best.id), result_of(database, plain)
    for name in ("weights_sha256", "best_weights_sha256"):
        assert stopped.summary[name] == whole.summary[name], name
    assert stopped.metrics["val_accuracy"] == whole.metrics["val_accuracy"]
    assert_agrees(database)


def test_a_runner_killed_between_two_rungs_changes_no_rung(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    """SIGKILL while the trial that was promoted last runs; its next attempt goes on."""
    spec = {**ASHA, "base": {**BASE, "epochs": 200, "checkpoint_every_epochs": 40}}
    spec["strategy"] = {**ASHA["strategy"], "pruner": {"method": "asha", "reduction": 6}}
    with running_pool(settings, COMMAND) as pool:
        whole = wait_for_end(database, *submit(database, catalog, spec))
        ids = submit(database, catalog, spec)
        wait_until(lambda: promoted(database, ids), "a promotion that runs")
        runner = pool.slots[0]._runners.current
        assert runner is not None
        os.kill(runner.pid, signal.SIGKILL)
        again = wait_for_end(database, *ids)
    assert [(row.state, row.rung) for row in again] == [(row.state, row.rung) for row in whole]
    assert Outcome.RELEASED in [one for row in again for one in outcomes(database, row.id)]
    [first], [second] = (
        [result_of(database, row.id) for row in rows if row.state is TrialState.SUCCEEDED]
        for rows in (whole, again)
    )
    assert first.summary["weights_sha256"] == second.summary["weights_sha256"]
    assert_agrees(database)


def promoted(database: Database, ids: list[int]) -> bool:
    with database.snapshot() as session:
        rows = session.scalars(select(Trial).where(Trial.id.in_(ids))).all()
        return any((row.rung or 0) >= 1 and row.state is TrialState.RUNNING for row in rows)


def test_a_poor_trial_is_ended_while_it_runs(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    good, poor = submit(database, catalog, MEDIAN)
    with running_pool(settings, COMMAND):
        trials = wait_for_end(database, good, poor)
    assert [row.state for row in trials] == [TrialState.SUCCEEDED, TrialState.PRUNED]
    with database.snapshot() as session:
        last = session.scalars(
            select(SweepReport.epoch)
            .where(SweepReport.trial_id == poor)
            .order_by(SweepReport.epoch.desc())
        ).first()
    assert last is not None
    assert last < 120, "it was ended long before its last epoch"
    assert outcomes(database, poor) == [Outcome.PRUNED]
    assert_agrees(database)
