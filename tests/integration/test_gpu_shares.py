"""Slots that share a GPU: at work at once, apart from who wants it whole, closed together."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from db import quarantine, retries
from db.engine import Database
from db.models import Slot
from db.states import SlotState, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_nvml import GIBIBYTE, FakeNvml
from tests.support.fake_runner import seed_of
from tests.support.gpu_slots import KINDS, slots
from tests.support.pool import person
from tests.support.slots import (
    ask,
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
from worker.devices import Device
from worker.gpu_lock import GpuLock
from worker.gpu_use import NvmlMonitor, Use
from worker.slot import GPU_HELD

GOES_ON = behaving(seed_of(fake_runner.goes_on))
PART_MB = 70 * 1024


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One kind of database: what is tried here lies in files and in the worker."""
    return sqlite_url


@pytest.fixture
def settings(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.1)
    monkeypatch.setitem(retries.AFTER_FAILURE, "gpu_fault", retries.Rule(3, 0.0))
    return settings_for(database, tmp_path, standby=False)


@pytest.fixture
def uuid() -> str:
    return f"GPU-{secrets.token_hex(8)}"


class Looking(NvmlMonitor):
    """Counts how often slots look."""

    looks = 0

    def look(self, gpu_uuid: str) -> Use | None:
        self.looks += 1
        return super().look(gpu_uuid)


def shares(uuid: str, number: int = 2) -> list[Device]:
    return [
        Device("gpu", "NVIDIA H200", 1, ("train",), uuid, PART_MB, share, number)
        for share in range(1, number + 1)
    ]


def reasons(database: Database) -> set[str | None]:
    return {reason for _, reason in slots(database)}


def start_one(database: Database, catalog: Catalog) -> int:
    """A trial that goes on until it is cancelled."""
    [trial_id] = submit(database, catalog, GOES_ON)
    wait_until(lambda: (trial(database, trial_id).progress_done or 0) > 0)
    return trial_id


def has_begun(database: Database, trial_id: int) -> None:
    """Wait for its first attempt, or fail as soon as a slot is held up."""
    wait_until(lambda: attempts(database, trial_id) != [] or reasons(database) != {None})
    assert reasons(database) == {None}


def end(database: Database, *trial_ids: int) -> None:
    for trial_id in trial_ids:
        ask(database, "cancel", trial_id)
    assert {row.state for row in wait_for_end(database, *trial_ids)} == {TrialState.CANCELLED}


def test_two_shares_work_at_once_and_the_neighbours_memory_is_no_use_by_hand(
    database: Database, catalog: Catalog, settings: Settings, uuid: str
) -> None:
    # As in a container: the driver shows memory, and no processes.
    gpu = {"uuid": uuid, "processes": [], "used": 0}
    gpus = Looking(FakeNvml([gpu]))
    with running_pool(settings, devices=shares(uuid), gpus=gpus) as pool:
        # A runner that rests keeps memory too, and the slot beside it has a fresh one.
        [resting] = submit(database, catalog, behaving(0))
        wait_for_end(database, resting)
        gpu["used"] = 60 * GIBIBYTE
        seen = gpus.looks
        wait_until(lambda: gpus.looks >= seen + 8)
        assert reasons(database) == {None}
        first = start_one(database, catalog)
        [second] = submit(database, catalog, GOES_ON)
        has_begun(database, second)
        wait_until(lambda: (trial(database, second).progress_done or 0) > 0)
        assert trial(database, first).state is TrialState.RUNNING
        [one], [other] = attempts(database, first), attempts(database, second)
        assert one.ended_at is other.ended_at is None
        assert one.slot_id != other.slot_id
        assert {row["name"] for row in pool.info().values()} == {
            "NVIDIA H200, share 1 of 2", "NVIDIA H200, share 2 of 2",
        }  # fmt: skip
        end(database, first, second)
    with database.snapshot() as session:
        rows = session.execute(select(Slot.name, Slot.memory_mb).order_by(Slot.index)).all()
    assert [tuple(row) for row in rows] == [
        ("NVIDIA H200, share 1 of 2", PART_MB), ("NVIDIA H200, share 2 of 2", PART_MB),
    ]  # fmt: skip


def test_another_workers_trial_on_the_share_beside_is_no_use_by_hand(
    database: Database, catalog: Catalog, settings: Settings, uuid: str
) -> None:
    gpu = {"uuid": uuid, "processes": [], "used": 60 * GIBIBYTE}
    gpus = NvmlMonitor(FakeNvml([gpu]))
    one, other = shares(uuid)
    with (
        running_pool(settings, devices=[one], gpus=gpus),
        running_pool(settings, devices=[other], gpus=gpus),
    ):
        # While nobody of labpool is at work there, it is.
        wait_until(lambda: len(slots(database)) == 2 and None not in reasons(database))
        assert all("cannot be seen from here" in (reason or "") for reason in reasons(database))
        gpu["used"] = 0
        wait_until(lambda: reasons(database) == {None})
        first = start_one(database, catalog)
        gpu["used"] = 60 * GIBIBYTE
        [second] = submit(database, catalog, behaving(0))
        has_begun(database, second)
        wait_for_end(database, second)
        assert trial(database, first).state is TrialState.RUNNING
        end(database, first)


@pytest.mark.parametrize("holder", ["whole", "share"])
def test_the_whole_gpu_and_its_shares_wait_for_each_other(
    database: Database, catalog: Catalog, settings: Settings, uuid: str, holder: str
) -> None:
    whole = Device("gpu", "NVIDIA H200", 1, KINDS, uuid)
    waiting: Sequence[Device] = shares(uuid) if holder == "whole" else [whole]
    mine = (1, 1) if holder == "whole" else (2, 2)
    assert settings.gpu_lock_dir is not None
    with closing(GpuLock(uuid, settings.gpu_lock_dir, *mine)) as lock:
        assert lock.acquire()
        [trial_id] = submit(database, catalog, GOES_ON)
        with running_pool(settings, devices=waiting, gpus=NvmlMonitor(FakeNvml([]))):
            wait_until(lambda: slots(database) != [] and reasons(database) == {GPU_HELD})
            assert attempts(database, trial_id) == []
            lock.release()
            wait_for_state(database, trial_id, TrialState.RUNNING)
            assert not lock.acquire()
            end(database, trial_id)


def test_a_fault_on_one_share_is_tried_beside_the_other_and_closes_both(
    database: Database, catalog: Catalog, settings: Settings, uuid: str, tmp_path: Path
) -> None:
    assert settings.gpu_lock_dir is not None
    lock = settings.gpu_lock_dir / f"{uuid}.lock"
    # Broken, for a process that other labpools know by the lock for one of theirs.
    code = (
        "import os, sys\n"
        "held = [os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')]\n"
        f"sys.exit('No, sir.' if {str(lock)!r} in held else 0)"
    )
    what = {"probe_command": (sys.executable, "-c", code), "gpus": NvmlMonitor(FakeNvml([]))}
    with running_pool(settings, devices=shares(uuid), **what) as pool:
        beside = start_one(database, catalog)
        [faulty] = submit(database, catalog, behaving(seed_of(fake_runner.finds_the_gpu_broken)))
        wait_until(lambda: {state for state, _ in slots(database)} == {SlotState.QUARANTINED})
        [reason] = reasons(database)
        assert (reason or "").startswith("No, sir.")
        # What runs beside goes on; then its slot takes nothing more.
        assert trial(database, beside).state is TrialState.RUNNING
        end(database, beside)
        wait_until(lambda: all("out of service" in row["does"] for row in pool.info().values()))
        assert trial(database, faulty).state is TrialState.QUEUED
        with database.transaction() as session:
            assert [row.name for row in quarantine.in_force(session)] == ["NVIDIA H200"]
            quarantine.clear(session, uuid, person(session, "root", "admin"))
        pool.ring()
        [done] = wait_for_end(database, faulty)
        assert done.state is TrialState.SUCCEEDED, done.reason
        assert slots(database) == [(SlotState.READY, None)] * 2
