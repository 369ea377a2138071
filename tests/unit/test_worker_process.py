"""Real processes: started, watched, held still and ended without leftovers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from worker import process_group
from worker.devices import Device
from worker.guards import Breach, Guards
from worker.process import RunnerGone, RunnerProcess
from worker.protocol import Bye, Cancel, Hello
from worker.watch import MOST_UNREAD, Ended, Item, Watch
from worker.watchdog import Watchdog

DEVICE = Device("cpu", "a processor", 1, ("train",))
PATIENCE_S = 60.0

PRELUDE = """
import os, socket, subprocess, sys, time
sock = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
"""


def started(tmp_path: Path, code: str) -> RunnerProcess:
    """A runner that does what ``code`` says."""
    command = (sys.executable, "-c", PRELUDE + code)
    return RunnerProcess(DEVICE, tmp_path / "home", tmp_path / "log", command)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def items(watch: Watch) -> list[Item]:
    """Everything that the watch has seen up to the runner's end."""
    seen: list[Item] = []
    while not seen or not isinstance(seen[-1], Ended):
        seen.append(watch.inbox.get(timeout=PATIENCE_S))
    return seen


def test_an_exit_status_comes_back(tmp_path: Path) -> None:
    process = started(tmp_path, "print('last words'); sys.exit(7)")
    assert process.wait(PATIENCE_S)
    assert process.finish() == 7
    assert (tmp_path / "log").read_text() == "last words\n"


def test_nothing_of_the_group_is_left(tmp_path: Path) -> None:
    code = """
for _ in range(3):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print("ready", flush=True)
time.sleep(1000)
"""
    process = started(tmp_path, code)
    wait_until(lambda: len(process_group.living(process.pid)) == 4)
    assert process.finish() == -9
    assert process_group.living(process.pid) == []


def test_children_of_a_runner_that_ended_are_ended(tmp_path: Path) -> None:
    code = """
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
os._exit(0)
"""
    process = started(tmp_path, code)
    assert process.wait(PATIENCE_S)
    assert len(process_group.living(process.pid)) == 1
    assert process.finish() == 0
    assert process_group.living(process.pid) == []


def test_a_suspended_runner_stands_still_and_can_be_killed(tmp_path: Path) -> None:
    process = started(tmp_path, "time.sleep(1000)")
    process.suspend()
    wait_until(lambda: [one.state for one in process_group.members(process.pid)] == ["T"])
    process.resume()
    wait_until(lambda: [one.state for one in process_group.members(process.pid)] != ["T"])
    process.suspend()
    assert process.finish() == -9


def test_a_runner_dies_with_the_thread_that_started_it(tmp_path: Path) -> None:
    found: list[RunnerProcess] = []
    code = "from worker.runner import lifeline; lifeline.hold_to(os.getppid()); time.sleep(1000)"

    def start() -> None:
        process = started(tmp_path, code + "\n")
        found.append(process)
        # Long enough for the runner to have asked for its signal.
        wait_until(lambda: process.resident_bytes() > 0)
        time.sleep(1.0)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found[0].wait(PATIENCE_S)
    assert found[0].finish() == -9


def test_sending_to_the_dead_and_to_the_deaf(tmp_path: Path) -> None:
    dead = started(tmp_path, "")
    assert dead.wait(PATIENCE_S)
    with pytest.raises(RunnerGone):
        dead.send(Bye())
    dead.finish()
    deaf = started(tmp_path, "time.sleep(1000)")
    with pytest.raises(RunnerGone, match="does not read"):
        while True:
            deaf.send(Cancel(trial=1, fence=1), timeout_s=0.1)
    deaf.finish()


def test_last_words_are_heard(tmp_path: Path) -> None:
    code = """
sock.sendall(b'{"type":"hello","protocol":2,"pid":1,"versions":{}}\\n' * 50)
os._exit(0)
"""
    process = started(tmp_path, code)
    seen = items(Watch(process, Guards(time.monotonic)))
    assert [type(item) for item in seen] == [Hello] * 50 + [Ended]
    process.finish()


@pytest.mark.parametrize(
    "code",
    [
        "sock.sendall(b'not json\\n')",
        'sock.sendall(b\'{"type":"run","trials":[]}\\n\')',
        "sock.sendall(b'x' * 70000)",
        "sock.sendall(b'\\xff\\xfe\\n')",
    ],
)
def test_a_broken_line_is_the_end(tmp_path: Path, code: str) -> None:
    process = started(tmp_path, f"{code}\ntime.sleep(1000)")
    breach, end = items(Watch(process, Guards(time.monotonic)))
    assert isinstance(breach, Breach)
    assert (breach.act, breach.reason_kind) == ("kill", "internal")
    assert isinstance(end, Ended)
    assert process.finish() == -9


def test_a_flood_waits_in_the_runner(tmp_path: Path) -> None:
    code = """
line = b'{"type":"hello","protocol":2,"pid":1,"versions":{}}\\n'
while True:
    sock.sendall(line * 100)
"""
    process = started(tmp_path, code)
    watch = Watch(process, Guards(time.monotonic))
    wait_until(lambda: watch.inbox.qsize() >= MOST_UNREAD)
    time.sleep(1.0)
    # One read may bring a few thousand lines at once; nothing is read after that.
    assert watch.inbox.qsize() < 10 * MOST_UNREAD
    process.kill()
    watch.join(PATIENCE_S)
    process.finish()


def test_memory_is_counted_over_the_whole_group(tmp_path: Path) -> None:
    code = """
subprocess.Popen([sys.executable, "-c", "x = b'1' * 200_000_000; import time; time.sleep(1000)"])
time.sleep(1000)
"""
    process = started(tmp_path, code)
    seen = items(Watch(process, Guards(time.monotonic, memory_limit_mb=150)))
    assert isinstance(seen[0], Breach)
    assert seen[0].reason_kind == "out_of_memory"
    process.finish()
    assert process_group.living(process.pid) == []


def test_one_ring_waits_at_a_time(tmp_path: Path) -> None:
    process = started(tmp_path, "time.sleep(1000)")
    watch = Watch(process, Guards(time.monotonic))
    for _ in range(100):
        watch.ring()
    assert watch.inbox.qsize() == 1
    process.kill()
    watch.join(PATIENCE_S)
    process.finish()


class FakePool:
    """What a watchdog stops."""

    def __init__(self, exit_status: int = 0, fails: bool = False) -> None:
        self.exit_status = exit_status
        self.calls: list[str] = []
        self._fails = fails

    def close(self) -> None:
        self.calls.append("close")
        if self._fails:
            raise RuntimeError

    def join(self) -> None:
        self.calls.append("join")


@pytest.mark.parametrize("pool", [FakePool(), FakePool(78), FakePool(fails=True)])
def test_the_watchdog_ends_what_cannot_end_itself(pool: FakePool) -> None:
    ended: list[int] = []
    done = threading.Event()

    def end(status: int) -> None:
        ended.append(status)
        done.set()

    watchdog = Watchdog(pool, celery_grace_s=0.0, end=end)
    watchdog.start()
    for _ in range(3):
        watchdog.wake()
    assert done.wait(PATIENCE_S)
    assert ended == [pool.exit_status]
    assert pool.calls[0] == "close"


def test_the_worker_imports_nothing_heavy_and_nothing_of_the_api() -> None:
    code = """
import sys
import worker.app, worker.pool, worker.slot, worker.__main__
heavy = {"tensorflow", "keras", "pycuda", "flask", "api", "numpy", "sklearn"}
print(sorted(heavy & set(sys.modules)))
"""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
