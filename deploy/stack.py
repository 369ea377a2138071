"""The one-machine stack: broker, API and worker, started, watched and stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from deploy.address import url_of
from deploy.broker import Broker
from deploy.child import Child
from deploy.commands import api_command, worker_command
from deploy.errors import PartFailed
from deploy.process_table import ProcessId
from deploy.restarts import RestartBudget
from labpool.settings import Settings

READY_TIMEOUT_S = 120.0
LOOK_S = 0.1
BROKER_GRACE_S = 5.0
API_GRACE_S = 10.0
# Beyond its own drain time the worker needs a moment to release trials and leave.
WORKER_MARGIN_S = 10.0


@dataclass
class Part:
    """One process of the stack, how to tell that it is ready and how long it may take to stop."""

    child: Child
    ready: Callable[[], bool]
    grace_s: float
    budget: RestartBudget = field(default_factory=lambda: RestartBudget(time.monotonic))
    restart_at: float | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.child.name

    def failed(self, reason: str) -> PartFailed:
        """The error that names this part, the reason and the end of its log."""
        return PartFailed(self.name, reason, self.child.log_path, self.child.log_tail())


class Stack:
    """Parts in the order in which they start; they stop in the reverse order."""

    def __init__(
        self, parts: list[Part], say: Callable[[str], None], stop: threading.Event
    ) -> None:
        self.parts = parts
        self._say = say
        self._stop = stop

    def start(self, timeout_s: float = READY_TIMEOUT_S) -> bool:
        """Start every part and wait until all are ready; False when told to stop meanwhile.

        Raises PartFailed naming the first part that ended or was not ready in time.
        """
        for part in self.parts:
            part.child.start()
        deadline = time.monotonic() + timeout_s
        waiting = list(self.parts)
        while waiting and not self._stop.is_set():
            for part in self.parts:
                if not part.child.running:
                    raise part.failed(f"{part.child.end()} while starting")
            waiting = [part for part in waiting if not part.ready()]
            if waiting and time.monotonic() > deadline:
                raise waiting[0].failed(f"was not ready after {timeout_s:g} s")
            self._stop.wait(LOOK_S if waiting else 0)
        return not self._stop.is_set()

    def supervise(self, changed: Callable[[], None]) -> None:
        """Start parts that end again until told to stop, and call `changed` after each start.

        Raises PartFailed when a part keeps ending.
        """
        while not self._stop.wait(LOOK_S):
            for part in self.parts:
                if self._look_after(part):
                    changed()

    def stop(self) -> None:
        """Stop all parts, last started first; what does not leave in time is killed."""
        for part in reversed(self.parts):
            if part.child.running and not part.child.stop(part.grace_s):
                self._say(f"The {part.name} did not stop in {part.grace_s:g} s and was killed.")

    def kill(self) -> None:
        """End all parts at once."""
        for part in self.parts:
            part.child.stop(0.0)

    def processes(self) -> Iterator[ProcessId]:
        """The parts' processes that run now."""
        for part in self.parts:
            identity = part.child.identity if part.child.running else None
            if identity is not None:
                yield identity

    def _look_after(self, part: Part) -> bool:
        """See to a part that ended; True when it was started again."""
        if part.child.running:
            return False
        if part.restart_at is None:
            end = part.child.end()
            # Whatever the process left behind in its group must not meet its successor.
            part.child.stop(0.0)
            delay_s = part.budget.next_delay_s()
            if delay_s is None:
                limit, window_s = part.budget.limit, part.budget.window_s
                raise part.failed(
                    f"{end} after {limit} restarts within {window_s:g} s, so labpool stops"
                )
            self._say(
                f"The {part.name} {end}; starting it again in {delay_s:g} s "
                f"({part.budget.used} of {part.budget.limit}). Its log: {part.child.log_path}"
            )
            part.restart_at = time.monotonic() + delay_s
        elif time.monotonic() >= part.restart_at:
            part.restart_at = None
            part.child.start()
            return True
        return False


def one_machine_parts(
    settings: Settings,
    environment: dict[str, str],
    worker_registered: Callable[[int], bool],
) -> list[Part]:
    """Broker (unless a URL names one), API and worker for these settings."""
    parts = []
    if settings.broker_url is None:
        broker = Broker(settings.broker_socket, settings.logs_dir / "broker.log", environment)
        parts.append(Part(broker, broker.answers, BROKER_GRACE_S))
    api = Child("api", api_command(), environment, settings.logs_dir / "api.log")
    worker = Child("worker", worker_command(), environment, settings.logs_dir / "worker.log")
    ready_url = f"{url_of(settings.host, settings.port)}/api/v1/ready"
    parts.append(Part(api, lambda: answers(ready_url), API_GRACE_S))
    worker_grace_s = settings.drain_grace_s + WORKER_MARGIN_S
    parts.append(Part(worker, lambda: worker_registered(worker.pid), worker_grace_s))
    return parts


def answers(url: str) -> bool:
    """Whether a GET gives 200, never through a proxy."""
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
