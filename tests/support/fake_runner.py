"""A runner that behaves as the trial's seed says: well, badly or not at all. No TensorFlow.

Started as a slot starts a real one. `BEHAVIOURS` names the seeds.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import lifeline


class Talk:
    """The socket to the slot, and what is said about one trial."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.lines = protocol.LineBuffer()
        self.cancelled: set[tuple[int, int]] = set()
        self.wishes: dict[tuple[int, int], str] = {}
        self.runs: list[protocol.Run] = []

    def say(self, message: protocol.FromRunner) -> None:
        self.socket.sendall(protocol.encode(message))

    def listen(self, wait_s: float | None) -> None:
        self.socket.settimeout(wait_s)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(None)
        if not data:
            os._exit(3)
        for line in self.lines.feed(data):
            match protocol.parse_from_slot(line):
                case protocol.Run() as run:
                    self.runs.append(run)
                case protocol.Cancel() as cancel:
                    self.cancelled.add((cancel.trial, cancel.fence))
                case protocol.Pause() | protocol.Stop() as wish:
                    self.wishes[(wish.trial, wish.fence)] = wish.type
                case protocol.GoOn() as back:
                    self.wishes.pop((back.trial, back.fence), None)
                case protocol.Bye():
                    sys.exit(0)

    def started(self, trial: TrialToRun, total: float = 3.0) -> None:
        self.say(
            protocol.Started(**_of(trial), environment={"device": "cpu"}, total=total, unit="epoch")
        )

    def metrics(self, trial: TrialToRun, epoch: int) -> None:
        values: dict[str, tuple[float | None, ...]] = {
            "val_accuracy": (epoch / 10,),
            "loss": (None,),
        }
        self.say(
            protocol.Points(
                **_of(trial), steps=(epoch,), epochs=(float(epoch),), times_s=(0.1 * epoch,),
                values=values,
            )
        )  # fmt: skip

    def progress(self, trial: TrialToRun, done: float, total: float = 3.0) -> None:
        self.say(protocol.Progress(**_of(trial), done=done, total=total, unit="epoch"))

    def checkpoint(self, trial: TrialToRun, epoch: int) -> Path:
        path = Path(trial.scratch) / f"epoch-{epoch}.npz"
        path.write_bytes(f"state after {epoch}".encode() * 100)
        self.announce(trial, path, epoch)
        return path

    def announce(self, trial: TrialToRun, path: Path, epoch: int, **changes: Any) -> None:
        content = path.read_bytes()
        fields = {
            "file": path.name,
            "epoch": epoch,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "value": epoch / 10,
            "best": True,
        }
        self.say(protocol.Checkpoint(**_of(trial), **{**fields, **changes}))

    def result(self, trial: TrialToRun, ended_early: bool = False, **summary: Any) -> None:
        metrics = {"test_accuracy": 0.5}
        self.say(
            protocol.Result(**_of(trial), metrics=metrics, summary=summary, ended_early=ended_early)
        )


def _of(trial: TrialToRun) -> dict[str, Any]:
    return {"trial": trial.trial, "fence": trial.fence}


def well(talk: Talk, trial: TrialToRun) -> None:
    """Three epochs with checkpoints, an artifact, a result."""
    first = trial.resume.epoch if trial.resume else 0
    resumed = "" if trial.resume is None else (Path(trial.scratch) / trial.resume.file).read_text()
    origin = "" if trial.origin is None else (Path(trial.scratch) / trial.origin.file).read_text()
    talk.started(trial)
    for epoch in range(first + 1, 4):
        print(f"epoch {epoch}", flush=True)
        talk.metrics(trial, epoch)
        talk.checkpoint(trial, epoch)
        talk.progress(trial, epoch)
    table = Path(trial.scratch) / "table.json"
    table.write_text(json.dumps({"kept": True}))
    talk.say(
        protocol.Artifact(
            **_of(trial),
            file=table.name,
            name="A table",
            media_type="application/json",
            bytes=table.stat().st_size,
            sha256=hashlib.sha256(table.read_bytes()).hexdigest(),
        )
    )
    leaked = sorted(name for name in os.environ if name.startswith("LABPOOL_"))
    about: dict[str, Any] = {"pid": os.getpid(), "leaked": leaked, "origin": origin[:13]}
    talk.result(trial, resumed=resumed[:13], **about)


def exits(talk: Talk, trial: TrialToRun) -> None:
    """Ends itself in the middle."""
    talk.started(trial)
    talk.metrics(trial, 1)
    print("about to leave", flush=True)
    os._exit(3)


def segfaults(talk: Talk, trial: TrialToRun) -> None:
    """Reads address 0."""
    talk.started(trial)
    ctypes.string_at(0)


def is_killed(talk: Talk, trial: TrialToRun) -> None:
    """As if somebody outside had."""
    talk.started(trial)
    os.kill(os.getpid(), signal.SIGKILL)


def hogs(talk: Talk, trial: TrialToRun) -> None:
    """Takes more memory than it may."""
    talk.started(trial)
    hoard = []
    while True:
        hoard.append(b"x" * (32 * 1024 * 1024))
        time.sleep(0.02)


def hangs(talk: Talk, trial: TrialToRun) -> None:
    """Sits in a C call that holds the interpreter's lock."""
    talk.started(trial)
    talk.progress(trial, 1)
    ctypes.PyDLL(None).sleep(1000)


def goes_on(talk: Talk, trial: TrialToRun) -> None:
    """Works until it is told to stop, with a checkpoint first."""
    talk.started(trial, 1e6)
    talk.checkpoint(trial, 1)
    done = 1
    while (trial.trial, trial.fence) not in talk.cancelled:
        talk.listen(0.02)
        talk.progress(trial, done, 1e6)
        done += 1
    talk.say(protocol.Cancelled(**_of(trial)))


def is_deaf(talk: Talk, trial: TrialToRun) -> None:
    """Works, whatever it is told."""
    talk.started(trial, 1e6)
    while True:
        time.sleep(0.02)
        talk.progress(trial, 1, 1e6)


def leaves_children(talk: Talk, trial: TrialToRun) -> None:
    """Ends, its children do not."""
    child = subprocess.Popen(["/bin/sleep", "1000"])
    print(f"child {child.pid}", flush=True)
    talk.started(trial)
    os._exit(0)


def babbles(talk: Talk, trial: TrialToRun) -> None:
    """Says what is no message."""
    talk.started(trial)
    talk.socket.sendall(b'{"type": "points", "trial": "x"}\n')
    time.sleep(1000)


def never_ends_a_line(talk: Talk, trial: TrialToRun) -> None:
    """Sends more than a line may hold."""
    talk.started(trial)
    while True:
        talk.socket.sendall(b"x" * 65536)


def lies_about_a_file(talk: Talk, trial: TrialToRun) -> None:
    """Announces another file than there is."""
    talk.started(trial)
    path = Path(trial.scratch) / "epoch-1.npz"
    path.write_bytes(b"state")
    talk.announce(trial, path, 1, sha256="0" * 64)
    time.sleep(1000)


def announces_a_link(talk: Talk, trial: TrialToRun) -> None:
    """Offers a file that is not its own."""
    talk.started(trial)
    path = Path(trial.scratch) / "epoch-1.npz"
    path.symlink_to("/etc/hostname")
    talk.announce(trial, path, 1)
    time.sleep(1000)


def speaks_of_others(talk: Talk, trial: TrialToRun) -> None:
    """Claims results for trials that are not its own, then does its own."""
    for other in (
        trial.model_copy(update={"trial": trial.trial + 1}),
        trial.model_copy(update={"fence": trial.fence + 1}),
    ):
        talk.started(other)
        talk.metrics(other, 1)
        talk.result(other)
    well(talk, trial)


def fails(talk: Talk, trial: TrialToRun) -> None:
    """Says that it cannot."""
    print("a trace", flush=True)
    talk.say(protocol.Failed(**_of(trial), reason_kind="user_error", reason="It cannot be."))


def diverges(talk: Talk, trial: TrialToRun) -> None:
    """Comes to a loss that is no number."""
    talk.started(trial)
    talk.progress(trial, 1)
    talk.say(protocol.Failed(**_of(trial), reason_kind="diverged", reason="The loss is nan."))


def finds_the_disk_full(talk: Talk, trial: TrialToRun) -> None:
    """Cannot write its checkpoints."""
    talk.say(protocol.Failed(**_of(trial), reason_kind="disk_full", reason="No space left."))


def lacks_its_compiler(talk: Talk, trial: TrialToRun) -> None:
    """Is on a machine where something is not installed."""
    reason = "NVRTC is not installed here: make gpu."
    talk.say(protocol.Failed(**_of(trial), reason_kind="not_prepared", reason=reason))


def finds_the_gpu_broken(talk: Talk, trial: TrialToRun) -> None:
    """Meets a fault of the GPU in its first attempt, and none after it."""
    if trial.fence > 1:
        well(talk, trial)
        return
    fault = "LaunchError: an illegal address"
    talk.say(protocol.Failed(**_of(trial), reason_kind="gpu_fault", reason=fault))


def says_nothing(talk: Talk, trial: TrialToRun) -> None:
    """Goes idle without an answer."""


def prints_much(talk: Talk, trial: TrialToRun) -> None:
    """Fills its log."""
    for line in range(20_000):
        print(f"line {line:05} {'.' * 80}")
    sys.stdout.flush()
    well(talk, trial)


def heeds(talk: Talk, trial: TrialToRun) -> None:
    """Epoch after epoch with a checkpoint each, until it is to pause, to stop or to end."""
    first = epoch = trial.resume.epoch if trial.resume else 0
    talk.started(trial, 1e6)
    key = (trial.trial, trial.fence)
    while key not in talk.cancelled:
        wish = talk.wishes.get(key) if epoch else None
        if wish == "pause":
            talk.say(protocol.Paused(**_of(trial), epoch=epoch))
            return
        if wish == "stop":
            talk.result(trial, ended_early=True, first=first, epochs=epoch)
            return
        epoch += 1
        talk.metrics(trial, epoch)
        talk.checkpoint(trial, epoch)
        talk.progress(trial, epoch, 1e6)
        time.sleep(0.05)
        talk.listen(0.05)
    talk.say(protocol.Cancelled(**_of(trial)))


def pauses_unasked(talk: Talk, trial: TrialToRun) -> None:
    """Stops of its own accord."""
    talk.started(trial)
    talk.checkpoint(trial, 1)
    talk.say(protocol.Paused(**_of(trial), epoch=1))
    time.sleep(1000)


def pauses_without_a_checkpoint(talk: Talk, trial: TrialToRun) -> None:
    """Pauses when asked, with nothing to go on from."""
    talk.started(trial)
    talk.progress(trial, 1)
    while (trial.trial, trial.fence) not in talk.wishes:
        talk.listen(0.05)
    talk.say(protocol.Paused(**_of(trial), epoch=3))
    time.sleep(1000)


def saves_when_asked(talk: Talk, trial: TrialToRun) -> None:
    """Makes no checkpoint before it is to pause."""
    talk.started(trial)
    while (trial.trial, trial.fence) not in talk.wishes:
        talk.listen(0.05)
    talk.checkpoint(trial, 1)
    talk.say(protocol.Paused(**_of(trial), epoch=1))


def hangs_with_a_child(talk: Talk, trial: TrialToRun) -> None:
    """Sits in a C call that holds the interpreter's lock, a child beside it."""
    child = subprocess.Popen(["/bin/sleep", "1000"])
    print(f"child {child.pid}", flush=True)
    hangs(talk, trial)


BEHAVIOURS: tuple[Callable[[Talk, TrialToRun], None], ...] = (
    well,
    exits,
    segfaults,
    is_killed,
    hogs,
    hangs,
    goes_on,
    is_deaf,
    leaves_children,
    babbles,
    never_ends_a_line,
    lies_about_a_file,
    announces_a_link,
    speaks_of_others,
    fails,
    says_nothing,
    prints_much,
    finds_the_disk_full,
    heeds,
    pauses_unasked,
    pauses_without_a_checkpoint,
    saves_when_asked,
    hangs_with_a_child,
    finds_the_gpu_broken,
    diverges,
    lacks_its_compiler,
)


def seed_of(behaviour: Callable[[Talk, TrialToRun], None]) -> int:
    """The seed that asks for a behaviour."""
    return BEHAVIOURS.index(behaviour)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--fd", "--parent-pid", "--threads"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--never-ready", action="store_true")
    arguments = parser.parse_args()
    lifeline.hold_to(arguments.parent_pid)
    talk = Talk(socket.socket(fileno=arguments.fd))
    talk.say(protocol.Hello(pid=os.getpid(), versions={}))
    if arguments.never_ready:
        print("no TensorFlow here", flush=True)
        sys.exit(1)
    talk.say(protocol.Ready())
    while True:
        talk.listen(None)
        while talk.runs:
            for trial in talk.runs.pop(0).trials:
                log = os.open(trial.log, os.O_WRONLY | os.O_APPEND)
                os.dup2(log, 1)
                os.dup2(log, 2)
                BEHAVIOURS[int(str(trial.spec["seed"]))](talk, trial)
            talk.say(protocol.Idle())


if __name__ == "__main__":
    main()
