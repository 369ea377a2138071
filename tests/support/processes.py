"""Start labpool's real processes for a test, wait until they are ready, and leave none behind.

    with Processes(tmp_path) as processes:
        broker = processes.broker()
        environment = processes.environment(LABPOOL_BROKER_URL=broker.url)
        api = processes.api(environment)
        worker = processes.worker(environment)
        httpx.get(api.url + "/api/v1/ready")
        worker.kill()            # as a fault would: SIGKILL to that process alone

Every process is a `deploy.child.Child`: `.pid`, `.running`, `.status`, `.signal(n)`, `.kill()`,
`.stop(grace_s)`, `.start()` again, `.log_tail()`. The test's own death ends them all.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy.broker import Broker
from deploy.child import Child, child_environment
from deploy.commands import api_command, worker_command
from deploy.process_table import ProcessId, descendants, is_alive
from labpool.settings import Settings

READY_TIMEOUT_S = 60.0
STOP_GRACE_S = 20.0
# What a child needs from the machine; nothing of the developer's own labpool settings.
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


def kept_environment() -> dict[str, str]:
    """What of this environment a child may know: nothing of the developer's own settings."""
    return {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    ready: Callable[[], bool], timeout_s: float, what: str, poll_s: float = 0.05
) -> None:
    """Poll until `ready()`; fails the test naming `what` when the time is up."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}")
        time.sleep(poll_s)


def answers(url: str) -> bool:
    """Whether a GET of `url` gives 200."""
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def family(pid: int) -> list[ProcessId]:
    """All descendants of a process, to check later that they are gone."""
    return descendants(pid)


def assert_gone(processes: list[ProcessId], timeout_s: float = 10.0) -> None:
    """Fail unless every one of these processes ends within the time."""
    wait_until(
        lambda: not any(is_alive(process) for process in processes),
        timeout_s,
        f"the end of {[process.pid for process in processes]}",
    )


class Api(Child):
    """The API under gunicorn on a port of its own."""

    def __init__(self, environment: Mapping[str, str], log_path: Path) -> None:
        self.port = int(environment.get("LABPOOL_PORT") or free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__(
            "api",
            api_command(),
            child_environment(environment, LABPOOL_HOST="127.0.0.1", LABPOOL_PORT=str(self.port)),
            log_path,
        )

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Wait until it answers; fails with the end of its log."""
        wait_until(
            lambda: not self.running or answers(f"{self.url}/api/v1/ready"),
            timeout_s,
            f"the api; its log ends:\n{self.log_tail()}",
        )
        assert self.running, f"the api {self.end()}; its log ends:\n{self.log_tail(40)}"


class Processes:
    """All processes of one test below one folder; leaving the block stops them, newest first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: list[Child] = []
        self._seen: list[ProcessId] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def environment(self, data_dir: Path | None = None, **settings: str) -> dict[str, str]:
        """A clean environment with `LABPOOL_DATA_DIR` and the given LABPOOL_… settings."""
        data_dir = data_dir or self.folder / "data"
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return child_environment(kept_environment(), LABPOOL_DATA_DIR=str(data_dir), **settings)

    def broker(self) -> Broker:
        """A running broker; `.url` goes into LABPOOL_BROKER_URL."""
        # Settings know a short path for a socket below a long folder.
        socket_path = Settings(data_dir=self.folder / f"broker-{len(self.children)}").broker_socket
        broker = Broker(socket_path, self._log("broker"), self.environment())
        self.children.append(broker)
        broker.start_and_wait()
        return broker

    def api(self, environment: Mapping[str, str], ready: bool = True) -> Api:
        """A running API on a free port; the database must be migrated already."""
        api = Api(environment, self._log("api"))
        self.children.append(api)
        api.start()
        if ready:
            api.wait_ready()
        return api

    def worker(self, environment: Mapping[str, str]) -> Child:
        """A started worker; it registers itself in the database by and by."""
        return self.child("worker", worker_command(), environment)

    def child(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        """Any other started command."""
        child = Child(name, command, child_environment(environment), self._log(name))
        self.children.append(child)
        child.start()
        return child

    def stop(self) -> None:
        """Stop everything, newest first, and check that no process is left."""
        for child in reversed(self.children):
            if child.status is None and child.identity is not None:
                self._seen += [child.identity, *descendants(child.pid)]
        for child in reversed(self.children):
            child.signal(signal.SIGCONT)
            child.stop(STOP_GRACE_S)
        assert_gone(self._seen)

    def _log(self, name: str) -> Path:
        return self.folder / f"{len(self.children):02}-{name}.log"
