"""Whether somebody else uses a GPU, with a fake NVML and real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.fake_nvml import GIBIBYTE, FakeNvml
from worker import process_group
from worker.gpu_use import GpuProcess, NvmlMonitor, Use, used_by_others

OURS, RUNNER, STRANGER, ELSEWHERE, ANOTHER_LABPOOLS = 10, 11, 20, 30, 40
NAMES = {STRANGER: "python", ANOTHER_LABPOOLS: "python", OURS: "labpool", RUNNER: "runner"}


def told(use: Use, runner_has_worked: bool = False) -> str | None:
    return used_by_others(
        use,
        runner_has_worked,
        {ANOTHER_LABPOOLS}.__contains__,
        {OURS, RUNNER}.__contains__,
        NAMES.get,
    )


def nobodys(_pid: int) -> bool:
    return False


def use(*processes: tuple[int, float | None], used: float | None = 0.0) -> Use:
    """Amounts in GiB."""
    return Use(
        tuple(GpuProcess(pid, None if gib is None else int(gib * GIBIBYTE))
              for pid, gib in processes),
        None if used is None else int(used * GIBIBYTE),
    )  # fmt: skip


def test_nobody_uses_it() -> None:
    assert told(use()) is None
    assert told(use(used=None)) is None


def test_a_strangers_process_is_named() -> None:
    assert told(use((STRANGER, 4.1), used=4.6)) == "used by hand: pid 20 (python), 4.1 GiB"
    assert told(use((STRANGER, None))) == "used by hand: pid 20 (python)"
    assert told(use((RUNNER, 30.0), (STRANGER, 0.2), used=30.2), runner_has_worked=True) == (
        "used by hand: pid 20 (python), 0.2 GiB"
    )


def test_our_own_runners_and_their_children_do_not_count() -> None:
    assert told(use((RUNNER, 100.0), (OURS, 2.0), used=102.4), runner_has_worked=True) is None


def test_another_labpools_runner_at_rest_does_not_count() -> None:
    assert told(use((ANOTHER_LABPOOLS, 4.1), used=4.6)) is None
    assert (
        told(use((ANOTHER_LABPOOLS, 4.1), (RUNNER, 1.0), used=5.6), runner_has_worked=True) is None
    )
    assert told(use((ANOTHER_LABPOOLS, 4.1), (STRANGER, 1.0), used=5.6)) == (
        "used by hand: pid 20 (python), 1.0 GiB"
    )
    assert told(use((ANOTHER_LABPOOLS, 4.0), used=9.0)) == (
        "used by a process that cannot be seen from here, 5.0 GiB"
    )


def test_memory_without_a_process_counts_when_it_is_much() -> None:
    assert told(use(used=0.6)) is None
    assert told(use(used=9.0)) == "used by a process that cannot be seen from here, 9.0 GiB"
    assert told(use((ELSEWHERE, 9.0), used=9.0)) == (
        "used by a process that cannot be seen from here, 9.0 GiB"
    )
    assert told(use((RUNNER, 5.0), used=9.0), runner_has_worked=True) == (
        "used by a process that cannot be seen from here, 4.0 GiB"
    )


def test_what_neighbours_on_shares_may_take_needs_no_explanation() -> None:
    def beside(use: Use) -> str | None:
        return used_by_others(
            use, False, {ANOTHER_LABPOOLS}.__contains__, {OURS, RUNNER}.__contains__, NAMES.get,
            neighbours_bytes=40 * GIBIBYTE,
        )  # fmt: skip

    # In a container another worker's runner on the share beside is not shown.
    assert beside(use(used=40.5)) is None
    assert beside(use((RUNNER, 20.0), used=60.5)) is None
    assert beside(use(used=42.0)) == "used by a process that cannot be seen from here, 42.0 GiB"
    # Where processes are shown, its runner is known by the lock, and a stranger is named.
    assert beside(use((ANOTHER_LABPOOLS, 40.0), (RUNNER, 20.0), used=60.5)) is None
    assert beside(use((ANOTHER_LABPOOLS, 39.0), (STRANGER, 0.5), used=39.6)) == (
        "used by hand: pid 20 (python), 0.5 GiB"
    )


def test_in_doubt_the_slot_goes_on() -> None:
    # In a container its own runner may be the one that shows under another number.
    assert told(use((ELSEWHERE, 9.0), used=9.0), runner_has_worked=True) is None
    assert told(use((RUNNER, None), used=9.0), runner_has_worked=True) is None


def test_nvml_is_asked_by_the_gpus_own_name() -> None:
    library = FakeNvml(
        [
            {"uuid": "GPU-aa", "processes": [(STRANGER, GIBIBYTE)], "used": 2 * GIBIBYTE},
            {"uuid": "GPU-bb", "parts": [{"uuid": "MIG-1", "used": 5, "no_second_version": True}]},
            {"uuid": "GPU-cc", "old": True},
        ]
    )
    monitor = NvmlMonitor(library)
    assert monitor.look("GPU-aa") == Use((GpuProcess(STRANGER, GIBIBYTE),), 2 * GIBIBYTE)
    assert monitor.look("MIG-1") == Use((), 5)
    assert monitor.look("GPU-cc") == Use((), None)
    assert library.opened == 1


def test_a_driver_that_went_and_came_is_asked_anew() -> None:
    library = FakeNvml([{"uuid": "GPU-aa", "lost": True}])
    monitor = NvmlMonitor(library)
    assert monitor.look("GPU-aa") is None
    library.broken = True
    assert monitor.look("GPU-aa") is None
    library.broken = False
    library.gpus[0]["lost"] = False
    assert monitor.look("GPU-aa") == Use((), 0)
    assert (library.opened, library.shut_down) == (2, 1)


@pytest.fixture
def grandchild() -> Iterator[int]:
    """A process below a process below this one, each the leader of a session."""
    code = "import os,subprocess,sys;p=subprocess.Popen(['sleep','600']);print(p.pid,flush=True);"
    parent = subprocess.Popen(
        [sys.executable, "-c", code + "p.wait()"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    yield int(parent.stdout.readline())
    process_group.kill_group(parent.pid)
    parent.wait()
    parent.stdout.close()


def test_who_descends_from_this_process(grandchild: int) -> None:
    assert process_group.descends_from(os.getpid(), os.getpid())
    assert process_group.descends_from(grandchild, os.getpid())
    assert not process_group.descends_from(os.getppid(), os.getpid())
    assert not process_group.descends_from(1, os.getpid())
    assert not process_group.descends_from(2**22 + 1, os.getpid())
    busy = Use((GpuProcess(grandchild, GIBIBYTE),), GIBIBYTE)
    assert used_by_others(busy, True, nobodys) is None
    stranger = Use((GpuProcess(os.getppid(), 4 * GIBIBYTE),), 4 * GIBIBYTE)
    assert "4.0 GiB" in (used_by_others(stranger, False, nobodys) or "")


def test_an_orphan_still_counts_by_its_session() -> None:
    code = "import subprocess,sys;p=subprocess.Popen(['sleep','600']);print(p.pid,flush=True)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    try:
        # Its leader has ended and is not reaped: its entry still tells whose child it was.
        os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
        assert process_group.descends_from(orphan, os.getpid())
    finally:
        process_group.kill_group(parent.pid)
        parent.wait()
        parent.stdout.close()
