"""A slot's standby: ready in time, in its place at once, and nothing of it is left behind."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

import pytest

from db.engine import Database
from db.models import Result
from db.states import TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slot_acts import cancel, runner_pid, wait_for_checkpoint
from tests.support.slots import (
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_until,
)
from worker import process_group, runners
from worker.guards import MEBIBYTE
from worker.pool import SlotPool
from worker.process import RunnerProcess
from worker.watched import WatchedRunner

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path, poll_s=0.1)


def standby(pool: SlotPool) -> WatchedRunner | None:
    return pool.slots[0]._runners._standby


def is_ready(pool: SlotPool) -> bool:
    waiting = standby(pool)
    return waiting is not None and waiting.is_ready


def test_a_runner_that_crashed_is_replaced_by_the_standby(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    with running_pool(settings) as pool:
        wait_until(lambda: is_ready(pool), "a standby")
        first, waiting = runner_pid(pool), standby(pool)
        assert waiting is not None
        assert waiting.pid != first
        [crashed] = submit(database, catalog, behaving(seed_of(fake_runner.segfaults)))
        wait_for_end(database, crashed)
        [next_one] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
        wait_for_end(database, next_one)
        with database.snapshot() as session:
            assert session.get_one(Result, next_one).summary["pid"] == waiting.pid
        wait_until(lambda: is_ready(pool), "another standby")
        assert len({first, waiting.pid, standby(pool).pid}) == 3  # type: ignore[union-attr]


def test_a_busy_slot_has_one_too_and_a_worn_runner_makes_way_for_it(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    trials = [submit(database, catalog, behaving(seed_of(fake_runner.well)))[0] for _ in range(6)]
    with running_pool(settings.model_copy(update={"trials_per_runner": 2})):
        wait_for_end(database, *trials)
    with database.snapshot() as session:
        served = [session.get_one(Result, number).summary["pid"] for number in trials]
    assert [served.count(pid) for pid in dict.fromkeys(served)] == [2, 2, 2]


def test_a_runner_that_grows_is_replaced(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes_mb = itertools.count(100, 100)
    monkeypatch.setattr(RunnerProcess, "resident_bytes", lambda _runner: next(sizes_mb) * MEBIBYTE)
    trials = [submit(database, catalog, behaving(seed_of(fake_runner.well)))[0] for _ in range(4)]
    with running_pool(settings.model_copy(update={"runner_growth_mb": 150})):
        wait_for_end(database, *trials)
    with database.snapshot() as session:
        served = [session.get_one(Result, number).summary["pid"] for number in trials]
    assert served[0] == served[1] == served[2] != served[3]


def test_cancelled_trials_wear_a_runner_too(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes_mb = itertools.count(100, 100)
    monkeypatch.setattr(RunnerProcess, "resident_bytes", lambda _runner: next(sizes_mb) * MEBIBYTE)
    with running_pool(settings.model_copy(update={"runner_growth_mb": 150})) as pool:
        wait_until(lambda: is_ready(pool), "a standby")
        pids = []
        for _ in range(4):
            [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
            wait_for_checkpoint(database, trial_id)
            pids.append(runner_pid(pool))
            cancel(database, trial_id)
            wait_for_end(database, trial_id)
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_a_trial_that_diverged_leaves_the_runner_and_its_traces(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    behaviours = fake_runner.well, fake_runner.diverges, fake_runner.well
    with running_pool(settings) as pool:
        trials = [submit(database, catalog, behaving(seed_of(one)))[0] for one in behaviours]
        before, diverged, after = wait_for_end(database, *trials)
        wait_until(lambda: not pool.slots[0].is_busy, "a slot at rest")
        runner = pool.slots[0]._runners.current
        assert runner is not None
        assert (runner.trials_served, list(runner.traced)) == (3, [after.trace_key])
    assert diverged.reason_kind == "diverged"
    with database.snapshot() as session:
        served = [session.get_one(Result, row.id).summary["pid"] for row in (before, after)]
    assert served[0] == served[1]


def test_without_the_setting_there_is_none(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    with running_pool(settings.model_copy(update={"standby": False})) as pool:
        [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
        wait_for_end(database, trial_id)
        assert standby(pool) is None


def test_a_standby_that_dies_again_and_again_is_started_ever_more_seldom(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "FIRST_PAUSE_S", 1000.0)
    with running_pool(settings) as pool:
        wait_until(lambda: is_ready(pool), "a standby")
        waiting = standby(pool)
        assert waiting is not None
        os.kill(waiting.pid, signal.SIGKILL)
        wait_until(lambda: standby(pool) is None, "its loss being noticed")
        [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
        [done] = wait_for_end(database, trial_id)
        assert done.state is TrialState.SUCCEEDED
        assert standby(pool) is None


def test_a_pool_that_stops_leaves_no_standby(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    with running_pool(settings) as pool:
        wait_until(lambda: is_ready(pool), "a standby")
        [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
        wait_for_checkpoint(database, trial_id)
        both = [runner_pid(pool), standby(pool).pid]  # type: ignore[union-attr]
        homes = {Path(f"/proc/{pid}/cwd").readlink() for pid in both}
        assert len(homes) == 2
    assert not any(process_group.members(pid) for pid in both)
    assert trial(database, trial_id).state is TrialState.QUEUED


def test_runners_that_never_become_ready_get_no_standby(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    command = (sys.executable, "-c", "import time; time.sleep(60)")
    with running_pool(settings, command) as pool:
        wait_until(lambda: runner_pid(pool) > 0, "a runner")
        wait_until(lambda: trial(database, trial_id).state is TrialState.RUNNING, "a claim")
        assert standby(pool) is None
