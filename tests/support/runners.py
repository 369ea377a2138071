"""Real runner processes for tests, spoken to over a socket pair as a slot does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from labpool.catalog import Catalog, Entry
from labpool.planning import plan
from worker import protocol
from worker.protocol import FromRunner, FromSlot, LineBuffer, TrialToRun, parse_from_runner

CHECKOUT = Path(__file__).resolve().parents[2]
CATALOG = Catalog.load([CHECKOUT / "catalog"])
ANSWERS = protocol.Result | protocol.Failed | protocol.Cancelled | protocol.Paused
PATIENCE_S = 120.0
GPU_SHOWN = ""
"""What runners see as CUDA_VISIBLE_DEVICES; the tests of tests/gpu set it."""


def environment(home: Path) -> dict[str, str]:
    """What a runner starts with; nothing of the tests' own environment."""
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "CUDA_VISIBLE_DEVICES": GPU_SHOWN,
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


def trial_of(
    spec: Mapping[str, Any],
    scratch: Path,
    trial: int = 1,
    fence: int = 1,
    resume: protocol.Checkpoint | None = None,
    catalog: Catalog = CATALOG,
    origin: Path | None = None,
) -> TrialToRun:
    """A trial as a slot would hand it over: resolved, with the catalog's digests.

    `origin` is a checkpoint of another trial, whose weights to begin with.
    """
    resolved = dict(plan(dict(spec), catalog).trials[0].spec)
    scratch.mkdir(parents=True, exist_ok=True)
    if spec["kind"] == "train":
        code: Entry = catalog.models[resolved["model"]]
        named = resolved["dataset"]
        data: Entry | None = catalog.datasets[named] if named else None
    else:
        code, data = catalog.kernels[resolved["kernel"]], None
    return TrialToRun(
        trial=trial,
        fence=fence,
        kind=spec["kind"],
        spec=resolved,
        code=reference_to(code),
        data=reference_to(data) if data is not None else None,
        scratch=str(scratch),
        log=str(scratch / "log.txt"),
        resume=protocol.Resume(file=resume.file, epoch=resume.epoch, sha256=resume.sha256)
        if resume is not None
        else None,
        origin=_origin(origin, scratch) if origin is not None else None,
    )


def _origin(path: Path, scratch: Path) -> protocol.Origin:
    copy = scratch / "origin.npz"
    shutil.copyfile(path, copy)
    return protocol.Origin(file="origin.npz", sha256=sha256(copy.read_bytes()).hexdigest())


class Runner:
    """A runner process and this test's end of its socket."""

    def __init__(self, home: Path, *options: str, threads: int = 1) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE_S)
        self._buffer = LineBuffer()
        with theirs, (home / "runner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "worker.runner", *options),
                    *("--fd", str(theirs.fileno()), "--parent-pid", str(os.getpid())),
                    *("--threads", str(threads)),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
                env=environment(home),
                start_new_session=True,
            )
        self._incoming = self._read()
        self.keeps = True
        """Whether checkpoints are answered as a slot does."""

    def send(self, message: FromSlot) -> None:
        self.socket.sendall(protocol.encode(message))

    def next(self) -> FromRunner:
        """The next message. Raises StopIteration when the runner has gone."""
        return next(self._incoming)

    def until(self, wanted: Callable[[FromRunner], bool]) -> list[FromRunner]:
        """All messages up to the first that is wanted."""
        seen = []
        for message in self._incoming:
            seen.append(message)
            if wanted(message):
                return seen
        raise AssertionError(f"the runner ended after {seen}")

    def run(self, trial: TrialToRun) -> list[FromRunner]:
        """Run one trial; all its messages, the answer last."""
        self.send(protocol.Run(trials=(trial,)))
        seen = self.until(lambda message: isinstance(message, protocol.Idle))
        assert isinstance(seen[-2], ANSWERS)
        return [m for m in seen[:-1] if not isinstance(m, protocol.Hello | protocol.Ready)]

    def result(self, trial: TrialToRun) -> protocol.Result:
        """Run one trial that must succeed."""
        answer = self.run(trial)[-1]
        assert isinstance(answer, protocol.Result), answer
        return answer

    def wait(self, timeout_s: float = 10.0) -> int:
        """The exit status."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        """Kill and reap."""
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def _read(self) -> Iterator[FromRunner]:
        while data := self.socket.recv(65536):
            for line in self._buffer.feed(data):
                message = parse_from_runner(line)
                if isinstance(message, protocol.Checkpoint) and self.keeps:
                    self.send(
                        protocol.Kept(trial=message.trial, fence=message.fence, epoch=message.epoch)
                    )
                yield message


@contextmanager
def runner(home: Path, *options: str, threads: int = 1) -> Iterator[Runner]:
    """A runner for the length of a block."""
    home.mkdir(parents=True, exist_ok=True)
    running = Runner(home, *options, threads=threads)
    try:
        yield running
    finally:
        running.close()


def of_type(messages: list[FromRunner], form: type[Any]) -> list[Any]:
    """The messages of one type."""
    return [message for message in messages if isinstance(message, form)]


@dataclass(frozen=True, slots=True)
class Point:
    """One point of each curve named."""

    step: int
    epoch: float | None
    values: Mapping[str, float | None]


def points_of(messages: list[FromRunner]) -> list[Point]:
    """The points of all curves by step, however they were gathered into messages."""
    points = [
        Point(step, epoch, {name: column[row] for name, column in message.values.items()})
        for message in of_type(messages, protocol.Points)
        for row, (step, epoch) in enumerate(zip(message.steps, message.epochs, strict=True))
    ]
    return sorted(points, key=lambda point: (point.step, *point.values))


def process_exists(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet reaped does not count."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def reference_to(entry: Entry) -> protocol.CodeReference:
    """How a slot names a catalog entry to its runner."""
    return protocol.CodeReference(name=entry.name, path=str(entry.path), digest=entry.digest)
