"""The processes of a chaos run, and what is done to them."""

from __future__ import annotations

import heapq
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from db.bell import Bell
from deploy.broker import Broker
from deploy.child import Child
from deploy.errors import PartFailed
from deploy.process_table import descendants, kill_if_alive
from tests.faults.bells import flush, forge
from tests.faults.crashing_postgres import CrashingPostgres
from tests.faults.failing_gpus import FOR_GOOD, ONCE, fault_of
from tests.faults.schedule import Fault
from tests.support.processes import Api, Processes, answers, wait_until

RESTART_EVERY_S = 1.0


class Ledger:
    """A file with a JSON object a line; threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, **fields: Any) -> None:
        with self._lock:
            self._file.write(json.dumps({"at": time.time()} | fields) + "\n")

    def close(self) -> None:
        self._file.close()


@dataclass
class Worker:
    """A worker's process. ``expected`` are the statuses with which it may end now."""

    child: Child
    wanted: bool = True
    stopped: bool = False
    expected: set[int] = field(default_factory=set)


@dataclass(order=True)
class _Due:
    at_s: float
    number: int
    act: Callable[[], None] = field(compare=False)


class Cluster:
    """API, broker, workers and perhaps a Postgres; all calls from one thread.

    What is started here ends with the thread that started it.
    """

    def __init__(
        self, processes: Processes, environment: Mapping[str, str], ledgers: Path,
        postgres: CrashingPostgres | None,
    ) -> None:  # fmt: skip
        self.processes = processes
        self.ledgers = ledgers
        self.postgres = postgres
        self.broker: Broker = processes.broker()
        self.environment = {**environment, "LABPOOL_BROKER_URL": self.broker.url}
        self.api: Api = processes.api(self.environment)
        self.workers: list[Worker] = []
        self.gpus: list[str] = []
        self.faults = Ledger(ledgers / "faults.jsonl")
        self.count = 0
        self.crashes: list[str] = []
        self._due: list[_Due] = []
        self._number = 0
        self._bell = Bell(self.broker.url)
        self._away: set[str] = set()
        self._tried_api_s = 0.0

    def add_worker(self, *options: str, gpus: Sequence[str] = ()) -> None:
        """Another worker, with a scratch folder of its own as if on a host of its own."""
        name = f"worker-{len(self.workers)}"
        folder = self.processes.folder / name
        folder.mkdir(mode=0o700)
        command = [
            sys.executable, "-m", "tests.faults.paced_worker",
            "--ledger", str(self.ledgers / "ran.jsonl"),
            "--gpus", ",".join(gpus), *options,
        ]  # fmt: skip
        for uuid in gpus:
            if uuid not in self.gpus:
                self.gpus.append(uuid)
        environment = {**self.environment, "LABPOOL_DATA_DIR": str(folder)}
        self.workers.append(Worker(self.processes.child(name, command, environment)))

    def tick(self) -> None:
        """Do what is due, and start again what should run."""
        now = time.monotonic()
        while self._due and self._due[0].at_s <= now:
            heapq.heappop(self._due).act()
        may_start = "api" not in self._away and now - self._tried_api_s >= RESTART_EVERY_S
        if may_start and not self.api.running:
            self._tried_api_s = now
            self.api.start()
        for worker in self.workers:
            if worker.wanted and not worker.child.running:
                if worker.child.status not in worker.expected:
                    end = f"{worker.child.name} {worker.child.end()}"
                    self.crashes.append(f"{end}:\n{worker.child.log_tail(30)}")
                worker.expected.clear()
                worker.child.start()

    def inflict(self, fault: Fault) -> None:
        """Do it now; what must be undone is undone by a later `tick`."""
        # The time before it: a slot may see it within a millisecond.
        began = time.time()
        done = getattr(self, f"_{fault.what}")(fault)
        if done is not None:
            self.count += 1
            self.faults.note(at=began, what=fault.what, **done)

    def heal(self) -> None:
        """Undo whatever is still to be undone, and wait until everything answers."""
        while self._due:
            heapq.heappop(self._due).act()
        self._away.clear()
        wait_until(self._is_whole, 120.0, "the API to come back", poll_s=0.2)

    def close(self) -> None:
        self._bell.close(1.0)
        self.faults.close()

    def _is_whole(self) -> bool:
        self.tick()
        return answers(f"{self.api.url}/api/v1/ready")

    def _later(self, delay_s: float, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, _Due(time.monotonic() + delay_s, self._number, act))

    def _pick(self, fault: Fault) -> Worker | None:
        able = [one for one in self.workers if one.wanted and not one.stopped and one.child.running]
        return able[int(fault.pick * len(able))] if able else None

    # Each returns what to note, or None when there was nothing to do it to.

    def _kill_runner(self, fault: Fault) -> dict[str, Any] | None:
        runners = [
            process
            for worker in self.workers if worker.child.running
            for process in descendants(worker.child.pid)
        ]  # fmt: skip
        if not runners:
            return None
        runner = sorted(runners)[int(fault.pick * len(runners))]
        return {"pid": runner.pid} if kill_if_alive(runner) else None

    def _kill_worker(self, fault: Fault) -> dict[str, Any] | None:
        worker = self._pick(fault)
        if worker is None:
            return None
        pid = worker.child.pid
        worker.expected.add(-signal.SIGKILL)
        worker.child.kill()
        worker.wanted = False
        self._later(fault.lasts_s, lambda: setattr(worker, "wanted", True))
        return {"pid": pid}

    def _end_worker(self, fault: Fault) -> dict[str, Any] | None:
        worker = self._pick(fault)
        if worker is None:
            return None
        # In order, as at an update: what it holds is given back. It is started again by `tick`.
        # One that has only just begun does not know the signal yet.
        worker.expected |= {0, -signal.SIGTERM}
        worker.child.signal(signal.SIGTERM)
        return {"pid": worker.child.pid}

    def _stop_worker(self, fault: Fault) -> dict[str, Any] | None:
        worker = self._pick(fault)
        if worker is None:
            return None
        pid = worker.child.pid
        worker.stopped = True
        worker.child.signal(signal.SIGSTOP)

        def go_on() -> None:
            worker.stopped = False
            worker.child.signal(signal.SIGCONT)

        self._later(fault.lasts_s, go_on)
        return {"pid": pid, "lasts_s": fault.lasts_s}

    def _kill_api(self, fault: Fault) -> dict[str, Any] | None:
        if not self.api.running:
            return None
        pid = self.api.pid
        # Either the master, whose worker must notice, or the worker, whom the master replaces.
        children = descendants(pid)
        if fault.pick < 0.5 and children:
            kill_if_alive(children[0])
            return {"pid": children[0].pid}
        self.api.kill()
        self._away.add("api")
        self._later(fault.lasts_s, lambda: self._away.discard("api"))
        return {"pid": pid}

    def _restart_broker(self, fault: Fault) -> dict[str, Any] | None:
        if not self.broker.running:
            return None
        self.broker.kill()
        self._start_broker()
        return {}

    def _broker_away(self, fault: Fault) -> dict[str, Any] | None:
        if not self.broker.running:
            return None
        self.broker.kill()
        self._later(fault.lasts_s, self._start_broker)
        return {"lasts_s": fault.lasts_s}

    def _start_broker(self) -> None:
        if not self.broker.running:
            try:
                self.broker.start_and_wait(30.0)
            except PartFailed:
                self._later(RESTART_EVERY_S, self._start_broker)

    def _flush_broker(self, fault: Fault) -> dict[str, Any] | None:
        return {} if flush(self.broker.socket_path) else None

    def _double_bells(self, fault: Fault) -> dict[str, Any] | None:
        for _ in range(50):
            self._bell.ring()
            time.sleep(0.002)
        return {}

    def _forge_bells(self, fault: Fault) -> dict[str, Any] | None:
        return {} if forge(self.broker.url, fault.pick) else None

    def _disturb_gpu(self, fault: Fault) -> dict[str, Any] | None:
        return self._put_on_gpu(fault, ONCE)

    def _break_gpu(self, fault: Fault) -> dict[str, Any] | None:
        return self._put_on_gpu(fault, FOR_GOOD)

    def _put_on_gpu(self, fault: Fault, what: str) -> dict[str, Any] | None:
        gpu = self.gpus[int(fault.pick * len(self.gpus))]
        file = fault_of(self.ledgers, gpu)
        if file.exists():
            return None
        file.write_text(what, encoding="utf-8")
        return {"gpu": gpu}

    def _database(self, fault: Fault) -> dict[str, Any] | None:
        if self.postgres is None or "database" in self._away:
            return None
        self.postgres.stop()
        self._away.add("database")

        def start() -> None:
            assert self.postgres is not None
            self.postgres.start()
            self._away.discard("database")

        self._later(fault.lasts_s, start)
        return {"lasts_s": fault.lasts_s}
