"""A runner without TensorFlow whose work is to wait and to hash: quick, and the same every time.

``--ledger FILE`` comes before what a slot adds. Each epoch hashes what the one before it left, so a
run that was killed, paused and resumed can be told from one that was never stopped. What it did is
noted in the ledger, for the checker.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults.failing_gpus import fails_now
from worker import protocol
from worker.protocol import TrialToRun
from worker.runner import lifeline

LONG_EPOCH_S = 0.1
SHORT_EPOCH_S = 0.01


class Ended(Exception):
    """The slot has closed its end, or said goodbye."""


class Talk:
    """The socket to the slot, and what it wants of which trial."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.lines = protocol.LineBuffer()
        self.runs: list[protocol.Run] = []
        self.wishes: dict[tuple[int, int], str] = {}
        self.kept: dict[tuple[int, int], int] = {}

    def say(self, message: protocol.FromRunner) -> None:
        self.socket.sendall(protocol.encode(message))

    def listen(self, wait_s: float | None) -> None:
        """Hear what comes within the time. Raises Ended."""
        self.socket.settimeout(wait_s)
        try:
            data = self.socket.recv(65536)
        except (TimeoutError, BlockingIOError):
            return
        finally:
            self.socket.settimeout(None)
        if not data:
            raise Ended
        for line in self.lines.feed(data):
            self._heed(protocol.parse_from_slot(line))

    def _heed(self, message: protocol.FromSlot) -> None:
        match message:
            case protocol.Run():
                self.runs.append(message)
            case protocol.Bye():
                raise Ended
            case protocol.Kept():
                self.kept[message.trial, message.fence] = message.epoch
            case protocol.GoOn():
                if self.wishes.get((message.trial, message.fence)) != "cancel":
                    self.wishes.pop((message.trial, message.fence), None)
            case protocol.Predict():
                pass
            case _:
                self.wishes[message.trial, message.fence] = message.type


class Ledger:
    """Lines for the checker; each is one write, so runners can share the file."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        # A lock of the runner's own, apart from the one that its slot took for it.
        self.gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        self._busy = os.open(self._folder / f"{self.gpu}.busy", os.O_RDWR | os.O_CREAT, 0o600)

    def note(self, what: str, trial: TrialToRun, **more: Any) -> None:
        line = {
            "at": time.time(), "what": what, "trial": trial.trial, "fence": trial.fence,
            "pid": os.getpid(), "gpu": self.gpu, **more,
        }  # fmt: skip
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def take_gpu(self, trial: TrialToRun) -> None:
        """Note a collision when another runner is at work on the GPU."""
        if self.gpu:
            try:
                fcntl.flock(self._busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.note("collision", trial)

    def gpu_fails(self) -> bool:
        return fails_now(self._folder, self.gpu)

    def leave_gpu(self) -> None:
        fcntl.flock(self._busy, fcntl.LOCK_UN)


class PacedRun:
    """One trial, epoch by epoch."""

    def __init__(self, talk: Talk, ledger: Ledger, trial: TrialToRun) -> None:
        self.talk, self.ledger, self.trial = talk, ledger, trial
        self.of: dict[str, Any] = {"trial": trial.trial, "fence": trial.fence}
        self.id = (trial.trial, trial.fence)
        self.epochs = int(str(trial.spec["epochs"]))
        self.every = int(str(trial.spec["checkpoint_every_epochs"]))
        self.pace_s = LONG_EPOCH_S if self.epochs > 10 else SHORT_EPOCH_S
        self.epoch, self.best = 0, -1.0
        self.state = f"seed {trial.spec['seed']}"
        self.saved_epoch: int | None = None

    def run(self) -> str:
        """How it ended."""
        self._resume()
        self.talk.say(
            protocol.Started(
                **self.of, environment={"device": "paced"}, total=float(self.epochs), unit="epoch"
            )
        )
        while self.epoch < self.epochs:
            self.talk.listen(self.pace_s)
            if self.ledger.gpu_fails():
                # Before it is said: the slot may end this process at once.
                self.ledger.note("fault", self.trial)
                reason = f"CUDA_ERROR_ECC_UNCORRECTABLE on {self.ledger.gpu}"
                self.talk.say(protocol.Failed(**self.of, reason_kind="gpu_fault", reason=reason))
                return "gpu_fault"
            self._one_epoch()
            wish = self.talk.wishes.get(self.id)
            if wish == "cancel":
                self.talk.say(protocol.Cancelled(**self.of))
                return "cancelled"
            if wish is not None or self.epoch == self.epochs or self.epoch % self.every == 0:
                self._save()
            if wish == "pause" and self.epoch < self.epochs:
                self._await_kept()
                self.talk.say(protocol.Paused(**self.of, epoch=self.epoch))
                return "paused"
            if wish == "stop":
                break
        early = self.epoch < self.epochs
        summary: dict[str, Any] = {"weights_sha256": self.state, "epochs": self.epoch}
        self.talk.say(
            protocol.Result(
                **self.of, metrics={"test_accuracy": self._value()}, summary=summary,
                ended_early=early,
            )
        )  # fmt: skip
        return "stopped" if early else "succeeded"

    def _one_epoch(self) -> None:
        self.epoch += 1
        self.state = hashlib.sha256(f"{self.state}, epoch {self.epoch}".encode()).hexdigest()
        self.talk.say(
            protocol.Points(
                **self.of, steps=(self.epoch,), epochs=(float(self.epoch),), times_s=(self.pace_s,),
                values={"val_accuracy": (self._value(),)},
            )
        )  # fmt: skip
        self.talk.say(
            protocol.Progress(
                **self.of, done=float(self.epoch), total=float(self.epochs), unit="epoch"
            )
        )

    def _value(self) -> float:
        return int(self.state[:4], 16) / 65536 if len(self.state) == 64 else 0.0

    def _save(self) -> None:
        best = self._value() > self.best
        self.best = max(self.best, self._value())
        path = Path(self.trial.scratch) / f"epoch-{self.epoch}.npz"
        content = json.dumps({"epoch": self.epoch, "state": self.state, "best": self.best}).encode()
        path.write_bytes(content)
        self.talk.say(
            protocol.Checkpoint(
                **self.of, file=path.name, epoch=self.epoch, bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(), value=self._value(), best=best,
            )
        )  # fmt: skip
        self.saved_epoch = self.epoch

    def _await_kept(self) -> None:
        while self.talk.kept.get(self.id, -1) < self.epoch:
            self.talk.listen(None)

    def _resume(self) -> None:
        resume = self.trial.resume
        if resume is not None:
            kept = json.loads((Path(self.trial.scratch) / resume.file).read_bytes())
            self.epoch, self.state, self.best = kept["epoch"], kept["state"], kept["best"]


def serve(talk: Talk, ledger: Ledger) -> None:
    """Take run after run. Raises Ended."""
    talk.say(protocol.Hello(pid=os.getpid(), versions={}))
    talk.say(protocol.Ready())
    while True:
        talk.listen(None)
        while talk.runs:
            for trial in talk.runs.pop(0).trials:
                ledger.take_gpu(trial)
                resumed = trial.resume.epoch if trial.resume else None
                ledger.note("begin", trial, resumed=resumed)
                run = PacedRun(talk, ledger, trial)
                how = run.run()
                ledger.leave_gpu()
                ledger.note("end", trial, how=how, epoch=run.epoch)
            talk.say(protocol.Idle())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ledger", type=Path, required=True)
    for name in ("--fd", "--parent-pid", "--threads"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    lifeline.hold_to(options.parent_pid)
    with suppress(Ended):
        serve(Talk(socket.socket(fileno=options.fd)), Ledger(options.ledger))
    sys.exit(0)


if __name__ == "__main__":
    main()
