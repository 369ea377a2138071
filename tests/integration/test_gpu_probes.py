"""A GPU that may be broken is probed, and stays out of service until an admin clears it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from db import quarantine, retries
from db.engine import Database
from db.models import Attempt
from db.states import Outcome, SlotState, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_nvml import FakeNvml
from tests.support.fake_runner import seed_of
from tests.support.gpu_slots import KINDS, slots
from tests.support.pool import person
from tests.support.slots import (
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
from worker.gpu_use import NvmlMonitor
from worker.process import RunnerProcess


@pytest.fixture
def gpu() -> Device:
    # Its lock is a file of the whole host: another run of the tests must have another GPU.
    return Device("gpu", "NVIDIA H200", 1, KINDS, f"GPU-{secrets.token_hex(8)}")


@pytest.fixture
def settings(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr("worker.slot.LOOK_AGAIN_S", 0.1)
    monkeypatch.setitem(retries.AFTER_FAILURE, "gpu_fault", retries.Rule(3, 0.0))
    return settings_for(database, tmp_path)


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


def test_what_a_machine_lacks_is_no_fault_of_its_gpu(
    database: Database, catalog: Catalog, settings: Settings, gpu: Device, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    # Were it probed, it would go into quarantine.
    what = {"probe_command": failing(broken), "gpus": NvmlMonitor(FakeNvml([]))}
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.lacks_its_compiler)))
    with running_pool(settings, devices=[gpu], **what):
        attempt = first_attempt_once_ended(database, trial_id)
        assert (attempt.outcome, attempt.reason_kind) == (Outcome.RELEASED, "not_prepared")
        assert not attempt.charged
        wait_until(lambda: slots(database) == [(SlotState.READY, None)])
    row = trial(database, trial_id)
    assert row.state is TrialState.QUEUED
    assert "NVRTC is not installed here: make gpu. Next try (1 of 9)" in (row.reason or "")


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
