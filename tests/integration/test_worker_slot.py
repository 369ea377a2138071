"""A slot, a real database and a runner that behaves as it is told, on SQLite and Postgres."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import select

from db import retries
from db.artifacts import FolderStore
from db.engine import Database
from db.models import Artifact, Checkpoint, Lease, MetricChunk, Result
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slot_acts import cancel, runner_pid, runs, wait_for_checkpoint
from tests.support.slots import (
    FAKE_RUNNER,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_for_state,
    wait_until,
)
from worker import process_group
from worker.process import RunnerProcess


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def test_it_works(database: Database, catalog: Catalog, settings: Settings) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    store = FolderStore(settings.artifacts_dir)
    [attempt] = attempts(database, trial_id)
    assert attempt.outcome is Outcome.SUCCEEDED
    assert attempt.environment is not None
    assert attempt.environment["device"] == "cpu"
    assert attempt.environment["labpool"]
    assert attempt.log_key is not None
    with store.get(attempt.log_key) as log:
        assert b"epoch 3" in log.read()
    with database.snapshot() as session:
        result = session.get_one(Result, trial_id)
        assert result.metrics == {"test_accuracy": 0.5}
        assert result.summary["leaked"] == ["LABPOOL_DATASETS_DIR"], "a place, and no secret"
        curve = session.scalars(
            select(MetricChunk).where(MetricChunk.name == "val_accuracy").order_by(MetricChunk.id)
        )
        assert [value for chunk in curve for value in chunk.values] == [0.1, 0.2, 0.3]
        kept = session.scalars(select(Checkpoint).where(Checkpoint.deleted_at.is_(None))).all()
        assert [row.epoch for row in kept] == [2, 3]
        assert sorted(store.list("trials")) == sorted(
            [*(row.key for row in kept), attempt.log_key, f"trials/{trial_id}/1/table.json"]
        )
        assert session.scalars(select(Artifact.media_type)).all() == ["application/json"]
        assert session.scalars(select(Lease).where(Lease.ended_at.is_(None))).all() == []


def test_every_bad_end_is_told_and_the_slot_goes_on(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A slot that waited for a dead runner to come to rest would wait past this test's patience.
    monkeypatch.setattr("worker.allocation.IDLE_GRACE_S", 3600.0)
    monkeypatch.setitem(retries.AFTER_FAILURE, "out_of_memory", retries.Rule(1, 0.0, alone=True))
    expected = {
        fake_runner.exits: ("crashed", "exited with status 3"),
        fake_runner.segfaults: ("crashed", "SIGSEGV (segmentation fault)"),
        fake_runner.is_killed: ("killed", "killed by SIGKILL from outside"),
        fake_runner.hogs: ("out_of_memory", "the limit here is 300 MiB"),
        fake_runner.leaves_children: ("crashed", "exited with status 0"),
        fake_runner.babbles: ("internal", "broke the protocol"),
        fake_runner.never_ends_a_line: ("internal", "longer than 65536"),
        fake_runner.lies_about_a_file: ("internal", "sha256"),
        fake_runner.announces_a_link: ("internal", "epoch-1.npz"),
        fake_runner.fails: ("user_error", "It cannot be."),
        fake_runner.says_nothing: ("internal", "without an answer"),
    }
    trials = {
        behaviour: submit(database, catalog, behaving(seed_of(behaviour)))[0]
        for behaviour in expected
    }
    limited = settings.model_copy(update={"memory_limit_mb": 300})
    with running_pool(limited):
        wait_for_end(database, *trials.values())
        [last] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
        assert wait_for_end(database, last)[0].state is TrialState.SUCCEEDED
    for behaviour, (kind, words) in expected.items():
        row = trial(database, trials[behaviour])
        found = (row.state, row.reason_kind, row.reason)
        assert row.state is TrialState.FAILED, (behaviour.__name__, found)
        assert row.reason_kind == kind, (behaviour.__name__, found)
        assert words in (row.reason or ""), (behaviour.__name__, found)
    assert len(attempts(database, trials[fake_runner.hogs])) == 2, "memory may be free later"
    assert "about to leave" in (attempts(database, trials[fake_runner.exits])[0].log_tail or "")
    left = attempts(database, trials[fake_runner.leaves_children])[0].log_tail or ""
    assert process_group.start_ticks(int(left.split()[1])) is None
    with database.snapshot() as session:
        # What was measured before the crash is kept.
        names = select(MetricChunk.name).where(MetricChunk.trial_id == trials[fake_runner.exits])
        assert set(session.scalars(names)) == {"val_accuracy", "loss"}


@pytest.mark.parametrize(
    ("behaviour", "limits", "kind"),
    [
        (fake_runner.hangs, {"time_limit_s": 1}, "time_limit"),
        (fake_runner.hangs, {"stall_limit_s": 1}, "stall_limit"),
    ],
)
def test_a_stuck_c_call_is_ended(
    database: Database,
    catalog: Catalog,
    settings: Settings,
    behaviour: object,
    limits: dict[str, float],
    kind: str,
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.hangs), **limits))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert (done.state, done.reason_kind) == (TrialState.FAILED, kind)
    assert "1 s" in (done.reason or "")


def test_a_warm_runner_serves_one_trial_after_another(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    spec = {
        "kind": "sweep",
        "base": behaving(0),
        "strategy": {"method": "grid"},
        "space": {"learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5]},
    }
    trials = submit(database, catalog, spec)
    with running_pool(settings.model_copy(update={"trials_per_runner": 3})):
        wait_for_end(database, *trials)
    with database.snapshot() as session:
        served = [session.get_one(Result, number).summary["pid"] for number in trials]
    assert served[0] == served[1] == served[2] != served[3] == served[4]


def test_messages_about_other_trials_change_nothing(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [liar] = submit(database, catalog, behaving(seed_of(fake_runner.speaks_of_others)))
    [victim] = submit(database, catalog, behaving(seed_of(fake_runner.fails)))
    with running_pool(settings):
        wait_for_end(database, liar, victim)
    assert trial(database, liar).state is TrialState.SUCCEEDED
    assert trial(database, victim).state is TrialState.FAILED
    with database.snapshot() as session:
        assert session.scalars(select(Result.trial_id)).all() == [liar]
        assert set(session.scalars(select(MetricChunk.trial_id))) == {liar}


def test_a_long_log_loses_its_middle(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.prints_much)))
    with running_pool(settings.model_copy(update={"log_limit_bytes": 8192})):
        wait_for_end(database, trial_id)
    [attempt] = attempts(database, trial_id)
    assert attempt.log_key is not None
    with FolderStore(settings.artifacts_dir).get(attempt.log_key) as log:
        text = log.read().decode()
    assert len(text) < 10_000
    assert text.startswith("line 00000")
    assert "bytes left out" in text
    assert "epoch 3" in text


def test_progress_does_not_wait_for_a_heartbeat(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    short, long = (
        submit(database, catalog, behaving(seed_of(behaviour)))[0]
        for behaviour in (fake_runner.well, fake_runner.goes_on)
    )
    with running_pool(
        settings.model_copy(update={"beat_s": 3600.0, "lease_ttl_s": 7200.0})
    ) as pool:
        [done] = wait_for_end(database, short)
        assert done.state is TrialState.SUCCEEDED, done.reason
        assert (done.progress_done, done.progress_total, done.progress_unit) == (3, 3, "epoch")
        wait_until(lambda: trial(database, long).progress_done > 1, "progress")
        seen = trial(database, long).progress_done
        wait_until(lambda: trial(database, long).progress_done > seen, "more progress")
        assert trial(database, long).progress_total == 1e6
        cancel(database, long)
        pool.ring()
        wait_for_end(database, long)


def test_cancel_stops_a_running_trial(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings.model_copy(update={"beat_s": 3600.0})) as pool:
        wait_for_checkpoint(database, trial_id)
        cancel(database, trial_id)
        # No heartbeat is due for an hour: only the bell can bring it.
        pool.ring()
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.CANCELLED


def test_cancel_kills_a_runner_that_does_not_listen(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.holding.CANCEL_GRACE_S", 0.5)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.is_deaf)))
    with running_pool(settings):
        wait_for_state(database, trial_id, TrialState.RUNNING)
        cancel(database, trial_id)
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.CANCELLED


def test_a_host_without_a_working_runner_gives_trials_back(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings, (*FAKE_RUNNER, "--never-ready")):
        wait_until(lambda: len(attempts(database, trial_id)) == 1 and not runs(database, trial_id))
    row = trial(database, trial_id)
    assert row.state is TrialState.QUEUED
    assert "No runner could be started" in (row.reason or "")
    assert not attempts(database, trial_id)[0].charged


def test_a_runner_that_cannot_be_ended_does_not_hold_its_slot_up(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.holding.STUCK_S", 0.5)
    [stuck] = submit(database, catalog, behaving(seed_of(fake_runner.is_deaf), time_limit_s=1))
    [other] = submit(database, catalog, behaving(0))
    kill, finish = RunnerProcess.kill, RunnerProcess.finish
    spared: list[RunnerProcess] = []

    def spare_the_first(self: RunnerProcess) -> None:
        # As a process does that sleeps in a driver: the signal changes nothing.
        if not spared:
            spared.append(self)
        if self is not spared[0]:
            kill(self)

    def in_vain(self: RunnerProcess, timeout_s: float = 10.0) -> int | None:
        return None if self is spared[0] else finish(self, timeout_s)

    monkeypatch.setattr(RunnerProcess, "kill", spare_the_first)
    monkeypatch.setattr(RunnerProcess, "finish", in_vain)
    with running_pool(settings):
        wait_for_end(database, stuck, other)
    monkeypatch.undo()
    assert trial(database, stuck).reason_kind == "time_limit"
    assert trial(database, other).state is TrialState.SUCCEEDED
    spared[0].finish()


def test_nothing_is_left_when_a_pool_stops(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings) as pool:
        wait_for_checkpoint(database, trial_id)
        runner = runner_pid(pool)
    assert process_group.living(runner) == []
    assert list(settings.scratch_dir.iterdir()) == []


def test_a_killed_runner_is_noticed_while_idle(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    with running_pool(settings) as pool:
        wait_until(lambda: pool.slots[0]._runners.current is not None)
        runner = runner_pid(pool)
        os.kill(runner, signal.SIGKILL)
        wait_until(lambda: runner_pid(pool) != runner, "a new runner")
        [trial_id] = submit(database, catalog, behaving(0))
        assert wait_for_end(database, trial_id)[0].state is TrialState.SUCCEEDED
