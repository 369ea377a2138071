"""A slot that leaves a GPU alone: used by hand, out of service, or no room on the disk."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from db import retries
from db.engine import Database
from db.models import Result, Trial
from db.states import SlotState, TrialState
from db.waiting import why_waiting
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_nvml import GIBIBYTE, FakeNvml
from tests.support.fake_runner import seed_of
from tests.support.gpu_slots import KINDS, slots
from tests.support.slots import (
    ask,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_until,
)
from worker.devices import Device
from worker.gpu_lock import GpuLock, lock_folder
from worker.gpu_use import NvmlMonitor
from worker.pool import SlotPool


@pytest.fixture
def gpu() -> Device:
    return Device("gpu", "NVIDIA H200", 1, KINDS, f"GPU-{secrets.token_hex(8)}")


@pytest.fixture
def settings(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.1)
    monkeypatch.setitem(retries.AFTER_FAILURE, "gpu_fault", retries.Rule(3, 0.0))
    return settings_for(database, tmp_path)


def test_a_gpu_that_somebody_uses_by_hand_is_left_alone(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device
) -> None:
    # A program that nobody of labpool started: what did start it has ended.
    shell = "sleep 600 >/dev/null 2>&1 & echo $!"
    stranger = int(
        subprocess.check_output(["/bin/sh", "-c", shell], text=True, start_new_session=True)
    )
    state = {"uuid": gpu.gpu_uuid, "processes": [(stranger, 4 * GIBIBYTE)], "used": 4 * GIBIBYTE}
    [trial_id] = submit(database, catalog, behaving(0))
    try:
        with running_pool(settings, devices=[gpu], gpus=NvmlMonitor(FakeNvml([state]))) as pool:
            wait_until(lambda: slots(database) != [] and slots(database)[0][1] is not None)
            [(slot_state, reason)] = slots(database)
            assert slot_state is SlotState.READY
            assert reason is not None
            assert reason.endswith("4.0 GiB")
            # The row is written before the slot says the same of itself.
            wait_until(lambda: reason in str(pool.info()["0"]["does"]))
            with database.snapshot() as session:
                assert reason in (why_waiting(session, trial(database, trial_id)) or "")
            assert attempts(database, trial_id) == []
            state["processes"], state["used"] = [], 0
            [done] = wait_for_end(database, trial_id)
            assert done.state is TrialState.SUCCEEDED
            assert slots(database) == [(SlotState.READY, None)]
    finally:
        os.kill(stranger, signal.SIGTERM)


def test_another_labpools_runner_at_rest_keeps_no_slot_waiting(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device
) -> None:
    lock = lock_of(settings, gpu)
    shell = "sleep 600 >/dev/null 2>&1 & echo $!"
    another = int(
        subprocess.check_output(
            ["/bin/sh", "-c", shell], text=True, start_new_session=True, pass_fds=[lock.descriptor]
        )
    )
    state = {"uuid": gpu.gpu_uuid, "processes": [(another, 4 * GIBIBYTE)], "used": 4 * GIBIBYTE}
    [trial_id] = submit(database, catalog, behaving(0))
    try:
        with running_pool(settings, devices=[gpu], gpus=NvmlMonitor(FakeNvml([state]))):
            wait_until(lambda: attempts(database, trial_id) != [] or is_held_up(database))
            assert not is_held_up(database)
            [done] = wait_for_end(database, trial_id)
        assert done.state is TrialState.SUCCEEDED
    finally:
        os.kill(another, signal.SIGTERM)
        lock.close()


def test_a_lock_that_was_cleared_away_is_made_anew(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device
) -> None:
    before = lock_of(settings, gpu)
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings, devices=[gpu], gpus=NvmlMonitor(FakeNvml([]))) as pool:
        wait_for_end(database, trial_id)
        assert settings.gpu_lock_dir is not None
        shutil.rmtree(settings.gpu_lock_dir)
        [trial_id] = submit(database, catalog, behaving(0))
        pool.ring()
        [done] = wait_for_end(database, trial_id)
        runner, after = pool.slots[0]._runners.current, lock_of(settings, gpu)
        assert runner is not None
        # What it runs in holds the new file, and nobody the old one.
        assert after.is_open_in(runner.pid)
        assert not before.is_open_in(runner.pid)
    assert done.state is TrialState.SUCCEEDED
    before.close()
    after.close()


@pytest.mark.parametrize("waiting", [False, True])
def test_a_runner_leaves_the_gpu_when_it_is_idle_or_another_labpool_is_at_work(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device,
    monkeypatch: pytest.MonkeyPatch, waiting: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.slot.IDLE_ON_GPU_S", 3600.0 if waiting else 0.0)
    lock = lock_of(settings, gpu)
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings, devices=[gpu], gpus=NvmlMonitor(FakeNvml([]))) as pool:
        [first] = wait_for_end(database, trial_id)
        if waiting:
            wait_until(lock.acquire)
        wait_until(lambda: has_a_fresh_runner(pool))
        lock.release()
        [trial_id] = submit(database, catalog, behaving(0))
        [second] = wait_for_end(database, trial_id)
    lock.close()
    pids = [result_of(database, done).summary["pid"] for done in (first, second)]
    assert pids[0] != pids[1]


def lock_of(settings: Settings, gpu: Device) -> GpuLock:
    folder, trouble = lock_folder(settings.gpu_lock_dir)
    assert trouble is None
    return GpuLock(str(gpu.gpu_uuid), folder)


def is_held_up(database: Database) -> bool:
    return any(reason is not None for _, reason in slots(database))


def has_a_fresh_runner(pool: SlotPool) -> bool:
    runner = pool.slots[0]._runners.current
    return runner is not None and not runner.was_given_work


def result_of(database: Database, done: Trial) -> Result:
    with database.snapshot() as session:
        return session.get_one(Result, done.id)


def test_what_a_runner_keeps_after_a_cancelled_trial_is_not_anothers(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device
) -> None:
    # As in a container: the driver shows memory, and no processes.
    state = {"uuid": gpu.gpu_uuid, "processes": [], "used": 0}
    [cancelled] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings, devices=[gpu], gpus=NvmlMonitor(FakeNvml([state]))):
        wait_until(lambda: (trial(database, cancelled).progress_done or 0) > 0)
        state["used"] = 4 * GIBIBYTE
        ask(database, "cancel", cancelled)
        wait_for_end(database, cancelled)
        [trial_id] = submit(database, catalog, behaving(0))
        wait_until(lambda: attempts(database, trial_id) != [] or is_held_up(database))
        assert not is_held_up(database)
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason


def test_without_room_nothing_is_claimed(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_bytes = [5 * 2**20]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes[0]))
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings):
        wait_until(lambda: slots(database) != [] and slots(database)[0][1] is not None)
        [(state, reason)] = slots(database)
        assert state is SlotState.READY
        assert "too little room in scratch" in (reason or "")
        assert "5 MiB free, 1,024 MiB wanted" in (reason or "")
        assert attempts(database, trial_id) == []
        free_bytes[0] = 2**40
        wait_for_end(database, trial_id)
    assert slots(database)[0][1] is None
