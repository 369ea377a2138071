"""A slot that leaves a GPU alone: used by hand, out of service, or no room on the disk."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from db import quarantine, retries
from db.engine import Database
from db.models import Attempt, Result, Slot, Trial
from db.states import Outcome, SlotState, TrialState
from db.waiting import why_waiting
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_nvml import GIBIBYTE, FakeNvml
from tests.support.fake_runner import seed_of
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
    wait_until,
)
from worker import probe
from worker.devices import Device
from worker.gpu_lock import GpuLock
from worker.gpu_use import NvmlMonitor
from worker.pool import SlotPool
from worker.process import RunnerProcess

KINDS = ("train", "benchmark")


@pytest.fixture
def gpu() -> Device:
    # Its lock is a file of the whole host: another run of the tests must have another GPU.
    return Device("gpu", "NVIDIA H200", 1, KINDS, f"GPU-{secrets.token_hex(8)}")


@pytest.fixture
def settings(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.1)
    monkeypatch.setitem(retries.AFTER_FAILURE, "gpu_fault", retries.Rule(3, 0.0))
    return settings_for(database, tmp_path)


def slots(database: Database) -> list[tuple[SlotState, str | None]]:
    with database.snapshot() as session:
        return [(row.state, row.reason) for row in session.scalars(select(Slot).order_by(Slot.id))]


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
            assert reason in str(pool.info()["0"]["does"])
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
    lock = GpuLock(str(gpu.gpu_uuid))
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


@pytest.mark.parametrize("waiting", [False, True])
def test_a_runner_leaves_the_gpu_when_it_is_idle_or_another_labpool_is_at_work(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device,
    monkeypatch: pytest.MonkeyPatch, waiting: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.slot.IDLE_ON_GPU_S", 3600.0 if waiting else 0.0)
    lock = GpuLock(str(gpu.gpu_uuid))
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


def is_held_up(database: Database) -> bool:
    return any(reason is not None for _, reason in slots(database))


def has_a_fresh_runner(pool: SlotPool) -> bool:
    runner = pool.slots[0]._runner
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


def first_attempt_once_ended(database: Database, trial_id: int) -> Attempt:
    def has_ended() -> bool:
        return any(attempt.ended_at is not None for attempt in attempts(database, trial_id))

    wait_until(has_ended)
    return attempts(database, trial_id)[0]


def failing(marker: Path) -> tuple[str, ...]:
    """A probe that fails as long as a file is there."""
    code = (
        f"import os,sys; print('noise'); os.path.exists({str(marker)!r}) and sys.exit('No, sir.')"
    )
    return (sys.executable, "-c", code)


def test_a_gpu_that_fails_its_probe_waits_for_an_admin(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    what = {"devices": [gpu], "probe_command": failing(broken), "gpus": NvmlMonitor(FakeNvml([]))}
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.finds_the_gpu_broken)))
    with running_pool(settings, **what) as pool:
        wait_until(lambda: any(state is SlotState.QUARANTINED for state, _ in slots(database)))
        wait_until(lambda: "out of service" in pool.info()["0"]["does"])
    [(_, reason)] = slots(database)
    assert reason is not None
    assert reason.startswith("No, sir.")
    assert "illegal address" in reason
    [attempt] = attempts(database, trial_id)
    assert (attempt.outcome, attempt.reason_kind) == (Outcome.RELEASED, "gpu_fault")
    assert not attempt.charged
    broken.unlink()
    with running_pool(settings, **what) as pool:
        # Another worker on the same GPU: it begins where the first one was stopped.
        wait_until(lambda: "out of service" in pool.info()["0"]["does"])
        assert slots(database)[-1] == (SlotState.QUARANTINED, reason)
        with database.transaction() as session:
            quarantine.clear(session, str(gpu.gpu_uuid), person(session, "root", "admin"))
        pool.ring()
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason


def test_a_gpu_that_passes_its_probe_goes_on(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device, tmp_path: Path
) -> None:
    what = {"probe_command": failing(tmp_path / "well"), "gpus": NvmlMonitor(FakeNvml([]))}
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.finds_the_gpu_broken)))
    with running_pool(settings, devices=[gpu], **what):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert [row.reason_kind for row in attempts(database, trial_id)] == ["gpu_fault", None]
    assert len(attempts(database, trial_id)) == 2


@pytest.mark.parametrize(
    ("behaviour", "limits", "kind"),
    [
        (fake_runner.segfaults, {}, "crashed"),
        (fake_runner.hangs, {"stall_limit_s": 1}, "stall_limit"),
    ],
)
def test_a_runner_that_ends_badly_may_have_a_broken_gpu(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device, tmp_path: Path,
    behaviour: Callable[..., None], limits: dict[str, int], kind: str,
) -> None:  # fmt: skip
    broken = tmp_path / "broken"
    broken.touch()
    what = {"devices": [gpu], "probe_command": failing(broken), "gpus": NvmlMonitor(FakeNvml([]))}
    [trial_id] = submit(database, catalog, behaving(seed_of(behaviour), **limits))
    with running_pool(settings, **what) as pool:
        attempt = first_attempt_once_ended(database, trial_id)
        assert (attempt.outcome, attempt.reason_kind) == (Outcome.RELEASED, "gpu_fault")
        assert not attempt.charged
        wait_until(lambda: slots(database)[0][0] is SlotState.QUARANTINED)
        assert "No, sir." in (slots(database)[0][1] or "")
        broken.unlink()
        with database.transaction() as session:
            quarantine.clear(session, str(gpu.gpu_uuid), person(session, "root", "admin"))
        pool.ring()
        [done] = wait_for_end(database, trial_id)
        # On a GPU that works it is the trial's own fault.
        assert (done.state, done.reason_kind) == (TrialState.FAILED, kind)
        assert slots(database) == [(SlotState.READY, None)]


def test_a_runner_stuck_in_the_driver_may_have_a_broken_gpu(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("worker.holding.STUCK_S", 0.5)
    # Refused by the slot, so the verdict without the GPU's is "internal".
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.babbles)))
    kill, finish = RunnerProcess.kill, RunnerProcess.finish
    spared: list[RunnerProcess] = []

    def spare_the_first(self: RunnerProcess) -> None:
        if not spared:
            spared.append(self)
        if self is not spared[0]:
            kill(self)

    def in_vain(self: RunnerProcess, timeout_s: float = 10.0) -> int | None:
        return None if self is spared[0] else finish(self, timeout_s)

    monkeypatch.setattr(RunnerProcess, "kill", spare_the_first)
    monkeypatch.setattr(RunnerProcess, "finish", in_vain)
    broken = tmp_path / "broken"
    broken.touch()
    what = {"devices": [gpu], "probe_command": failing(broken), "gpus": NvmlMonitor(FakeNvml([]))}
    with running_pool(settings, **what):
        attempt = first_attempt_once_ended(database, trial_id)
        assert (attempt.outcome, attempt.reason_kind) == (Outcome.RELEASED, "gpu_fault")
        wait_until(lambda: slots(database)[0][0] is SlotState.QUARANTINED)
        assert (slots(database)[0][1] or "").startswith("No, sir.")
    monkeypatch.undo()
    spared[0].finish()


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


class TestProbe:
    def said(self, tmp_path: Path, gpu: Device, code: str, **more: object) -> str | None:
        command = (sys.executable, "-c", code)
        return probe.trouble_with(gpu, tmp_path / "probe", command, **more)  # type: ignore[arg-type]

    def test_how_it_ends(self, tmp_path: Path, gpu: Device) -> None:
        assert self.said(tmp_path, gpu, "") is None
        assert self.said(tmp_path, gpu, "import sys; sys.exit('It burns.')") == "It burns."
        killed = self.said(tmp_path, gpu, "import os; print(1); os.kill(os.getpid(), 11)")
        assert "SIGSEGV" in (killed or "")

    def test_it_does_not_wait_for_ever(self, tmp_path: Path, gpu: Device) -> None:
        forever = "import time; time.sleep(600)"
        assert "longer than 0 s" in (self.said(tmp_path, gpu, forever, limit_s=0.0) or "")
        assert self.said(tmp_path, gpu, forever, stopping=lambda: True) is None

    def test_the_real_one_computes_and_finds_no_gpu_where_there_is_none(
        self, tmp_path: Path, gpu: Device
    ) -> None:
        # Its sum comes out right on the processor; then, as it is run, it looks for the GPU.
        both = "from worker.runner import probe as p; p.by_tensorflow('cpu', 1); p.main()"
        told = self.said(tmp_path, gpu, both)
        assert "TensorFlow sees none" in (told or "")
        kernels_only = Device("gpu", "none", 1, ("benchmark",), gpu.gpu_uuid)
        told = probe.trouble_with(kernels_only, tmp_path / "probe")
        assert told is not None
        assert any(word in told for word in ("pycuda", "driver", "shows no GPU")), told
