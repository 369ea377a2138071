"""Shares of a GPU: their locks, their part of the memory, and a probe beside neighbours at work."""

from __future__ import annotations

import itertools
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labpool.shares import RUNNER_GPU_MEMORY, gpu_of_share, is_share, share_name
from worker import probe
from worker.devices import Device
from worker.exits import NO_MEMORY
from worker.gpu_lock import GpuLock
from worker.runner import backend
from worker.runner import probe as runner_probe
from worker.runners import Runners

GPU = "GPU-a"
SHARE = Device("gpu", "NVIDIA H200", 1, ("train",), GPU, 4000, 1, 2)
WHOLE = Device("gpu", "NVIDIA H200", 1, ("train",), GPU, 8000)


def test_a_share_is_told_by_its_name() -> None:
    name = share_name("NVIDIA H200", 2, 16)
    assert name == "NVIDIA H200, share 2 of 16"
    assert is_share(name)
    assert gpu_of_share(name) == "NVIDIA H200"
    assert share_name("NVIDIA H200", 1, 1) == gpu_of_share("NVIDIA H200") == "NVIDIA H200"
    assert not is_share("NVIDIA H200")


class TestLocks:
    def lock(self, folder: Path, share: int = 1, shares: int = 1) -> closing[GpuLock]:
        return closing(GpuLock(GPU, folder, share, shares))

    def test_shares_leave_each_other_alone_and_keep_out_their_like(self, tmp_path: Path) -> None:
        with (
            self.lock(tmp_path, 1, 2) as one,
            self.lock(tmp_path, 2, 2) as two,
            self.lock(tmp_path, 2, 2) as another_two,
        ):
            assert one.acquire()
            assert not one.has_company()
            assert two.has_company()
            assert two.acquire()
            assert two.acquire()
            assert one.has_company()
            assert not another_two.acquire()
            two.release()
            assert not one.has_company()
            assert another_two.acquire()
            assert not two.acquire()

    @pytest.mark.parametrize("shares", [2, 3, 16])
    def test_the_whole_gpu_and_its_shares_keep_each_other_out(
        self, tmp_path: Path, shares: int
    ) -> None:
        with self.lock(tmp_path) as whole, self.lock(tmp_path, shares, shares) as share:
            assert whole.acquire()
            assert not share.acquire()
            whole.release()
            assert share.acquire()
            assert not whole.acquire()
            assert not whole.has_company()
            share.release()
            assert whole.acquire()

    def test_a_share_in_vain_keeps_nobody_out(self, tmp_path: Path) -> None:
        with (
            self.lock(tmp_path, 1, 2) as one,
            self.lock(tmp_path, 1, 2) as in_vain,
            self.lock(tmp_path) as whole,
        ):
            assert one.acquire()
            assert not in_vain.acquire()
            one.release()
            assert whole.acquire()

    def test_shares_by_other_numbers_keep_out_who_would_take_the_same_memory(
        self, tmp_path: Path
    ) -> None:
        shares = [(share, number) for number in (2, 3, 4, 7, 16) for share in range(1, number + 1)]
        for (a, of_a), (b, of_b) in itertools.combinations(shares, 2):
            apart = a * of_b <= (b - 1) * of_a or b * of_a <= (a - 1) * of_b
            with self.lock(tmp_path, a, of_a) as one, self.lock(tmp_path, b, of_b) as other:
                assert one.acquire()
                assert other.acquire() is apart, f"{a} of {of_a} beside {b} of {of_b}"

    def test_a_file_that_was_cleared_away_locks_nothing(self, tmp_path: Path) -> None:
        with self.lock(tmp_path, 1, 2) as one, self.lock(tmp_path, 2, 2) as two:
            assert one.acquire()
            (tmp_path / f"{GPU}.lock").unlink()
            assert (two.acquire(), two.is_stale) == (False, True)
            with self.lock(tmp_path, 2, 2) as anew, self.lock(tmp_path) as whole:
                assert anew.acquire()
                assert not whole.acquire()
                anew.release()
                # What was refused as stale is not kept.
                assert whole.acquire()

    def test_a_runner_keeps_its_share_when_its_slot_has_died(self, tmp_path: Path) -> None:
        one = GpuLock(GPU, tmp_path, 1, 2)
        assert one.acquire()
        runner = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[one.descriptor]
        )
        one.close()
        with (
            self.lock(tmp_path, 1, 2) as same,
            self.lock(tmp_path, 2, 2) as beside,
            self.lock(tmp_path) as whole,
        ):
            assert not same.acquire()
            assert not whole.acquire()
            assert beside.acquire()
            beside.release()
            assert beside.is_open_in(runner.pid)
            runner.communicate(b"\n")
            assert same.acquire()


class FakeConfig:
    """As much of ``tf.config`` as memory needs, with TensorFlow's own refusals."""

    def __init__(self, gpus: list[str]) -> None:
        self.gpus = gpus
        self.grows: list[str] = []
        self.limits: dict[str, list[int]] = {}
        self.experimental = SimpleNamespace(set_memory_growth=self._grow)

    def list_physical_devices(self, kind: str) -> list[str]:
        assert kind == "GPU"
        return self.gpus

    def LogicalDeviceConfiguration(self, memory_limit: int) -> int:
        return memory_limit

    def set_logical_device_configuration(self, gpu: str, parts: list[int]) -> None:
        self.limits[gpu] = parts

    def _grow(self, gpu: str, enable: bool) -> None:
        if gpu in self.limits:
            raise ValueError("Cannot set memory growth on device when virtual devices configured")
        assert enable
        self.grows.append(gpu)


def test_a_share_is_bound_to_its_memory_and_a_whole_gpu_grows() -> None:
    whole, share, none = FakeConfig(["GPU:0"]), FakeConfig(["GPU:0"]), FakeConfig([])
    backend._bound_memory(whole, None)
    assert (whole.grows, whole.limits) == (["GPU:0"], {})
    backend._bound_memory(share, "4000")
    assert (share.grows, share.limits) == ([], {"GPU:0": [4000]})
    backend._bound_memory(none, "4000")
    assert none.limits == {}


def test_tensorflow_gives_a_share_one_bounded_device_and_no_growth_of_its_own() -> None:
    """What TensorFlow itself makes of that, for a GPU made up: no driver is asked so far."""
    import tensorflow as tf
    from tensorflow.python.eager.context import Context, PhysicalDevice

    context, gpu = Context(), PhysicalDevice("/physical_device:GPU:0", "GPU")
    context._initialize_physical_devices()
    context._physical_devices.append(gpu)
    context._visible_device_list.append(gpu)
    context._memory_growth_map[gpu] = None
    context._physical_device_to_index = dict.fromkeys(context._physical_devices, 0)
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [gpu],
        LogicalDeviceConfiguration=tf.config.LogicalDeviceConfiguration,
        set_logical_device_configuration=context.set_logical_device_configuration,
    )
    backend._bound_memory(config, "4000")
    options = context._compute_gpu_options()
    [part] = options.experimental.virtual_devices
    assert list(part.memory_limit_mb) == [4000.0]
    # That is left to TF_FORCE_GPU_ALLOW_GROWTH.
    assert not options.allow_growth
    with pytest.raises(ValueError, match="Cannot set memory growth"):
        context.set_memory_growth(gpu, True)


def test_until_a_runner_has_ended_its_memory_is_known_to_be_the_workers() -> None:
    host: Any = SimpleNamespace(clock=lambda: 0.0, gpu_locks=None)
    runners = Runners(host, 0, SHARE, (), lambda: None)
    known: list[object] = []
    leaving: Any = SimpleNamespace(
        must_retire="it is worn",
        pid=1,
        is_stuck=False,
        retire=lambda: known.append(runners.current),
    )
    runners.current = leaving
    runners.retire()
    assert known == [leaving]
    assert runners.current is None


class TestProbe:
    def said(self, home: Path, device: Device, code: str, **more: Any) -> str | None:
        return probe.trouble_with(device, home / "probe", (sys.executable, "-c", code), **more)

    def test_it_keeps_to_the_shares_memory_and_has_the_lock_open(self, tmp_path: Path) -> None:
        tells = f"import os, sys; sys.exit(os.environ.get({RUNNER_GPU_MEMORY!r}, 'all of it'))"
        assert self.said(tmp_path, SHARE, tells) == "4000"
        assert self.said(tmp_path, WHOLE, tells) == "all of it"
        with closing(GpuLock(GPU, tmp_path, 1, 2)) as lock:
            number = lock.descriptor
            opened = f"import os, sys; sys.exit(os.readlink('/proc/self/fd/{number}'))"
            told = self.said(tmp_path, SHARE, opened, pass_fds=[number])
        assert told == str(tmp_path / f"{GPU}.lock")

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (MemoryError("no room"), NO_MEMORY),
            (RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: no room"), NO_MEMORY),
            (
                RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS"),
                "RuntimeError: CUDA_ERROR_ILLEGAL_ADDRESS",
            ),
        ],
    )
    def test_it_says_when_there_was_no_memory(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        error: Exception,
        status: int | str,
    ) -> None:
        def fails(*_: object) -> None:
            raise error

        monkeypatch.setattr(runner_probe, "by_tensorflow", fails)
        monkeypatch.setattr(runner_probe.lifeline, "hold_to", lambda _: None)
        monkeypatch.setattr(sys, "argv", ["probe", "--parent-pid", "1", "--by", "tensorflow"])
        with pytest.raises(SystemExit) as ended:
            runner_probe.main()
        assert ended.value.code == status
        assert ("no room" in capsys.readouterr().err) is (status == NO_MEMORY)

    def test_memory_that_is_not_there_condemns_no_shared_gpu(self, tmp_path: Path) -> None:
        no_room = f"import sys; print('no room'); sys.exit({NO_MEMORY})"
        assert self.said(tmp_path, SHARE, no_room) is None
        assert self.said(tmp_path, WHOLE, no_room) == "no room"
        assert self.said(tmp_path, SHARE, "import sys; sys.exit('It burns.')") == "It burns."
