"""Why a runner ended, in words; and what the kernel's counters prove."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from worker.exits import describe_status, ending_of
from worker.out_of_memory import KillCounters, read_counters

STILL = KillCounters(control_group=3, machine=5)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exited with status 0"),
        (3, "exited with status 3"),
        (-signal.SIGSEGV, "was killed by SIGSEGV (segmentation fault)"),
        (-signal.SIGABRT, "was killed by SIGABRT (aborted)"),
        (-63, "was killed by signal 63"),
    ],
)
def test_a_status_in_words(status: int, words: str) -> None:
    assert describe_status(status) == words
    ending = ending_of(status, STILL, STILL)
    assert (ending.reason_kind, ending.reason) == ("crashed", f"The runner {words}.")


def test_sigkill_with_evidence_is_out_of_memory() -> None:
    ending = ending_of(-signal.SIGKILL, STILL, KillCounters(control_group=4, machine=6))
    assert ending.reason_kind == "out_of_memory"
    assert "went from 3 to 4" in ending.reason


def test_sigkill_without_evidence_says_so() -> None:
    ending = ending_of(-signal.SIGKILL, STILL, STILL)
    assert ending.reason_kind == "killed"
    assert "out-of-memory killer does that too, but its counters did not move" in ending.reason
    blind = KillCounters(None, None)
    assert "does not count" in ending_of(-signal.SIGKILL, blind, blind).reason


def test_counters_of_both_kinds_of_control_groups(tmp_path: Path) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    assert read_counters(proc, root) == KillCounters(None, None)
    (proc / "vmstat").write_text("nr_free_pages 1\noom_kill 9\n")
    (proc / "self" / "cgroup").write_text("0::/lab/worker\n")
    (root / "lab" / "worker").mkdir(parents=True)
    (root / "lab" / "worker" / "memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    assert read_counters(proc, root) == KillCounters(2, 9)
    (proc / "self" / "cgroup").write_text("5:cpu,memory:/elsewhere\n0::/gone\n")
    (root / "memory").mkdir()
    (root / "memory" / "memory.oom_control").write_text("oom_kill_disable 0\noom_kill 7\n")
    assert read_counters(proc, root) == KillCounters(7, 9)
