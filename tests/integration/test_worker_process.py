"""The real worker process with real runners: Celery, TensorFlow, a database."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.bell import Bell
from db.engine import Database
from db.models import Checkpoint, MetricChunk, Result, Trial, Worker
from db.states import Outcome, TrialState
from deploy.process_table import descendants, identify
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.support.processes import Processes, assert_gone
from tests.support.slots import attempts, submit, trial, wait_for_end, wait_for_state, wait_until

# Half a dozen imports of TensorFlow, one after another, on a machine that may have other work.
pytestmark = pytest.mark.timeout(900)

HOSTILE = CHECKOUT / "tests" / "support" / "catalog"
SHORT = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 3}
LONG = {**SHORT, "epochs": 60, "optimizer": "adam", "learning_rate_decay": 0.99}
NO_BROKER = "redis+socket:///nowhere/broker.sock"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path / "processes") as processes:
        yield processes


def settings(database: Database, broker: str = NO_BROKER, **more: str) -> dict[str, Any]:
    """One slot, and times short enough to wait for."""
    return {
        "LABPOOL_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "LABPOOL_BROKER_URL": broker,
        "LABPOOL_SLOTS": "1",
        "LABPOOL_BEAT_S": "0.5",
        "LABPOOL_POLL_S": "1",
        **more,
    }


def result(database: Database, trial_id: int) -> Result:
    with database.snapshot() as session:
        return session.get_one(Result, trial_id)


def test_without_a_broker_the_queue_drains_and_sigterm_ends_it(
    database: Database, catalog: Catalog, processes: Processes, tmp_path: Path
) -> None:
    trials = [submit(database, catalog, {**SHORT, "seed": seed})[0] for seed in range(3)]
    worker = processes.worker(processes.environment(**settings(database)))
    for done in wait_for_end(database, *trials):
        assert done.state is TrialState.SUCCEEDED, (done.reason, worker.log_tail(40))
    [attempt] = attempts(database, trials[0])
    assert attempt.environment is not None
    assert {"versions", "device_name", "git_revision", "labpool"} <= attempt.environment.keys()
    runners = descendants(worker.pid)
    assert runners
    worker.signal(signal.SIGTERM)
    assert worker.wait(60)
    assert worker.status == 0
    assert_gone(runners)
    with database.snapshot() as session:
        assert session.scalars(select(Worker.stopped_at)).one() is not None
    assert list((tmp_path / "processes" / "data" / "scratch").iterdir()) == []


def test_a_ring_wakes_an_idle_slot_and_stats_tell_what_it_does(
    sqlite_url: str, catalog: Catalog, processes: Processes
) -> None:
    database, broker = Database(sqlite_url), processes.broker()
    # It would look by itself in an hour, or be told in an hour: only the ring is left.
    environment = processes.environment(
        **settings(
            database,
            broker.url,
            LABPOOL_POLL_S="3600",
            LABPOOL_BEAT_S="3600",
            LABPOOL_LEASE_TTL_S="10800",
        )
    )
    worker = processes.worker(environment)
    wait_until(lambda: "ready" in worker.log_tail(), "a worker that is ready")
    bell = Bell(broker.url)
    [trial_id] = submit(database, catalog, {**SHORT, "epochs": 100_000})
    bell.ring()
    wait_for_state(database, trial_id, TrialState.RUNNING)
    stats = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "worker.app", "inspect", "stats"],
        env=environment, cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"trial {trial_id} (fence 1)" in stats.stdout
    worker.signal(signal.SIGTERM)
    assert worker.wait(60)
    assert worker.status == 0
    assert trial(database, trial_id).state is TrialState.QUEUED
    assert attempts(database, trial_id)[0].outcome is Outcome.RELEASED
    bell.close()
    database.dispose()


def test_a_wedged_broker_cannot_keep_a_worker_from_ending(
    sqlite_url: str, catalog: Catalog, processes: Processes
) -> None:
    database, broker = Database(sqlite_url), processes.broker()
    worker = processes.worker(processes.environment(**settings(database, broker.url)))
    wait_until(lambda: "ready" in worker.log_tail(), "a worker that is ready")
    broker.signal(signal.SIGSTOP)
    [trial_id] = submit(database, catalog, {**SHORT, "epochs": 100_000})
    wait_for_state(database, trial_id, TrialState.RUNNING)
    runners = descendants(worker.pid)
    worker.signal(signal.SIGTERM)
    assert worker.wait(60), worker.log_tail()
    assert worker.status == 0
    assert_gone(runners)
    assert trial(database, trial_id).state is TrialState.QUEUED
    broker.signal(signal.SIGCONT)
    database.dispose()


def test_a_killed_workers_trial_goes_on_in_the_next_to_the_same_weights(
    database: Database, catalog: Catalog, processes: Processes
) -> None:
    # The second worker knows that the first is dead; it need not wait an hour for its lease.
    environment = processes.environment(**settings(database, LABPOOL_LEASE_TTL_S="3600"))
    first = processes.worker(environment)
    [undisturbed] = submit(database, catalog, LONG)
    wait_for_end(database, undisturbed)
    [trial_id] = submit(database, catalog, LONG)

    def is_under_way() -> bool:
        with database.snapshot() as session:
            epochs = select(Checkpoint.epoch).where(Checkpoint.trial_id == trial_id)
            return max(session.scalars(epochs), default=0) >= 5

    wait_until(is_under_way, "some checkpoints")
    runners = descendants(first.pid)
    first.kill()
    assert_gone(runners)
    assert trial(database, trial_id).state is TrialState.RUNNING
    processes.worker(environment)
    [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert done.losses == 1
    lost, last = attempts(database, trial_id)
    assert (lost.outcome, lost.charged) == (Outcome.LOST, False)
    assert last.resumed_epoch is not None
    assert last.resumed_epoch >= 5
    wanted, found = result(database, undisturbed).summary, result(database, trial_id).summary
    assert found["weights_sha256"] == wanted["weights_sha256"]
    assert found["resumed_at_epoch"] == last.resumed_epoch
    assert epochs_seen(database, trial_id) >= set(range(1, 61))


def test_real_crashes_are_told_and_the_slot_goes_on(sqlite_url: str, processes: Processes) -> None:
    database = Database(sqlite_url)
    catalog = Catalog.load([CHECKOUT / "catalog", HOSTILE])
    expected = {
        "exit": ("crashed", "exited with status 7"),
        "segfault": ("crashed", "SIGSEGV (segmentation fault)"),
        "hog": ("out_of_memory", "the limit here is 2,000 MiB"),
        "children": ("time_limit", "its time limit of 5 s"),
    }
    trials = {
        how: submit(
            database,
            catalog,
            {
                **SHORT,
                "model": "hostile",
                "parameters": {"how": how},
                # Quick to make: the limit must not strike before the harm is done.
                "dataset": "spirals",
                "time_limit_s": 5 if how == "children" else 600,
            },
        )[0]
        for how in expected
    }
    [good] = submit(database, catalog, SHORT)
    environment = processes.environment(
        **settings(database, LABPOOL_CATALOG_PATH=str(HOSTILE), LABPOOL_MEMORY_LIMIT_MB="2000")
    )
    worker = processes.worker(environment)
    wait_until(lambda: trial(database, trials["hog"]).not_before is not None, "a second try")
    with database.transaction() as session:
        # A minute later; the worker's own clock cannot be stepped.
        session.get_one(Trial, trials["hog"]).not_before = None
    for trial_id in (*trials.values(), good):
        wait_for_end(database, trial_id)
    for how, (kind, words) in expected.items():
        row, tries = trial(database, trials[how]), attempts(database, trials[how])
        assert len(tries) == (2 if how == "hog" else 1), how
        attempt = tries[-1]
        assert (row.state, row.reason_kind) == (TrialState.FAILED, kind), (how, row.reason)
        assert words in (row.reason or "")
        assert f"about to {how}" in (attempt.log_tail or "")
        if how == "segfault":
            assert "Fatal Python error: Segmentation fault" in (attempt.log_tail or "")
        if how == "children":
            child = int((attempt.log_tail or "").split()[-1])
            assert identify(child) is None
    assert trial(database, good).state is TrialState.SUCCEEDED
    worker.signal(signal.SIGTERM)
    assert worker.wait(60)
    database.dispose()


def test_a_second_store_is_refused(
    sqlite_url: str, catalog: Catalog, processes: Processes, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    first = processes.worker(processes.environment(**settings(database)))
    wait_until(lambda: _workers(database) == 1, "a registered worker")
    other = processes.worker(processes.environment(tmp_path / "elsewhere", **settings(database)))
    assert other.wait(60), other.log_tail()
    assert other.status == 78
    assert "artifact folder" in other.log_tail()
    assert first.running
    database.dispose()


def epochs_seen(database: Database, trial_id: int) -> set[float | None]:
    """The epochs that have a validation accuracy, over all attempts."""
    with database.snapshot() as session:
        chunks = session.scalars(
            select(MetricChunk).where(
                MetricChunk.trial_id == trial_id, MetricChunk.name == "val_accuracy"
            )
        )
        return {epoch for chunk in chunks for epoch in chunk.epochs}


def _workers(database: Database) -> int:
    with database.snapshot() as session:
        return len(session.scalars(select(Worker.id)).all())
