"""The supervisor: what it says and does when a part does not start, ends, or keeps ending."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import restarts
from deploy.child import Child
from deploy.errors import PartFailed
from deploy.restarts import RestartBudget
from deploy.stack import Part, Stack
from tests.support.processes import wait_until

SLEEP = "echo up; exec sleep 60"


class Bench:
    """A stack of shell scripts, looked after by a thread as `up` looks after its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.stop = threading.Event()
        self.parts: list[Part] = []
        self.failure: PartFailed | None = None
        self.changes = 0
        self.stack = Stack(self.parts, self.said.append, self.stop)

    def part(self, name: str, script: str, limit: int = 5) -> Part:
        child = Child(name, ["sh", "-c", script], os.environ, self.folder / f"{name}.log")
        budget = RestartBudget(time.monotonic, limit=limit)
        self.parts.append(Part(child, lambda: child.log_tail() != "", 5.0, budget))
        return self.parts[-1]

    def supervise(self) -> None:
        # In this thread: a child ends with the thread that started it.
        def changed() -> None:
            self.changes += 1

        try:
            self.stack.supervise(changed)
        except PartFailed as error:
            self.failure = error


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(restarts, "FIRST_DELAY_S", 0.01)
    made = Bench(tmp_path)
    yield made
    made.stack.kill()


def stop_when(bench: Bench, ready: object, timeout_s: float = 10.0) -> threading.Thread:
    """End the supervision from beside it once `ready()`, or when the time is up."""

    def watch() -> None:
        deadline = time.monotonic() + timeout_s
        while callable(ready) and not ready() and time.monotonic() < deadline:
            time.sleep(0.01)
        bench.stop.set()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_it_works(bench: Bench) -> None:
    first, second = bench.part("broker", SLEEP), bench.part("api", SLEEP)
    assert bench.stack.start(10.0)
    assert len(list(bench.stack.processes())) == 2
    bench.stack.stop()
    assert (first.child.status, second.child.status) == (-signal.SIGTERM, -signal.SIGTERM)
    assert bench.said == []


def test_a_part_that_ends_while_starting_is_named_with_its_log(bench: Bench) -> None:
    bench.part("broker", SLEEP)
    bench.part("worker", "echo 'no such catalog' >&2; exit 3")
    with pytest.raises(PartFailed, match="worker ended with status 3 while starting") as caught:
        bench.stack.start(10.0)
    assert "  | no such catalog" in str(caught.value)
    assert str(bench.folder / "worker.log") in str(caught.value)


def test_a_part_that_is_never_ready_is_named(bench: Bench) -> None:
    bench.part("api", "exec sleep 60")
    with pytest.raises(PartFailed, match=r"api was not ready after 0\.2 s"):
        bench.stack.start(0.2)


def test_being_told_to_stop_while_starting_is_no_failure(bench: Bench) -> None:
    bench.part("api", "exec sleep 60")
    bench.stop.set()
    assert not bench.stack.start(10.0)


def test_a_part_that_ends_is_started_again(bench: Bench) -> None:
    part = bench.part("worker", SLEEP)
    assert bench.stack.start(10.0)
    old = part.child.pid
    part.child.kill()
    watcher = stop_when(bench, lambda: bench.changes)
    bench.supervise()
    watcher.join()
    assert bench.failure is None
    assert part.child.pid != old
    assert part.child.running
    assert "The worker was killed by SIGKILL; starting it again" in bench.said[0]
    assert "1 of 5" in bench.said[0]


def test_what_a_dead_part_left_behind_ends_before_it_is_started_again(bench: Bench) -> None:
    part = bench.part("worker", "sleep 61 & echo up; wait")
    assert bench.stack.start(10.0)
    group = part.child.pid
    part.child.kill()
    watcher = stop_when(bench, lambda: bench.changes)
    bench.supervise()
    watcher.join()
    wait_until(lambda: not group_exists(group), 5, "the end of the old group")


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_part_that_keeps_ending_stops_the_stack(bench: Bench) -> None:
    bench.part("api", "echo up; sleep 0.2; echo 'port taken' >&2; exit 1", limit=2)
    assert bench.stack.start(10.0)
    watcher = stop_when(bench, lambda: bench.failure)
    bench.supervise()
    bench.stop.set()
    watcher.join()
    assert bench.failure is not None
    assert "after 2 restarts" in str(bench.failure)
    assert "port taken" in str(bench.failure)
    assert len(bench.said) == 2
