"""A process for one question: its limits of time, and that nothing of it stays."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from worker import process_group
from worker.runner import throwaway

LEAVES_A_CHILD = """
import os, time
print(os.getpgrp(), flush=True)
if os.fork() == 0:
    time.sleep(600)
"""
STAYS_WITH_A_CHILD = LEAVES_A_CHILD + "time.sleep(600)\n"


def run(script: str, given: bytes = b"", seconds: float = 60.0) -> throwaway.Ended:
    return throwaway.run([sys.executable, "-I", "-c", script], given, seconds)


def all_gone(group: int) -> bool:
    """Within a short while: who is killed still has to be taken down."""
    deadline = time.monotonic() + 10
    while process_group.living(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not process_group.living(group)


def test_it_works() -> None:
    ended = run("import os, sys; print(sys.stdin.read(), os.getcwd(), len(os.environ))", b"asked")
    assert (ended.output, ended.status, ended.in_time) == (b"asked / 1\n", 0, True)
    assert ended.processor_seconds > 0 and ended.resident_bytes > 2**20


def test_much_that_is_given_and_answered_does_not_block() -> None:
    ended = run("import sys; sys.stdout.write(sys.stdin.read() * 2)", b"x" * 2**20)
    assert ended.output == b"x" * 2**21


def test_a_child_is_ended_though_its_leader_is_gone() -> None:
    ended = run(LEAVES_A_CHILD)
    assert (ended.status, ended.in_time) == (0, True)
    assert all_gone(int(ended.output))


def test_time_is_up_for_the_whole_group() -> None:
    ended = run(STAYS_WITH_A_CHILD, seconds=3.0)
    assert (ended.status, ended.in_time) == (-signal.SIGKILL, False)
    assert all_gone(int(ended.output))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_is_told_by_its_signal(number: int) -> None:
    script = "import os, sys; sys.stderr.write('why'); sys.stderr.flush(); os.kill(os.getpid(), {})"
    ended = run(script.format(int(number)))
    assert (ended.status, ended.in_time, ended.errors) == (-number, True, b"why")
