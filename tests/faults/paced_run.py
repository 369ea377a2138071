"""What a paced runner is made of: its talk with the slot, its ledger, and a run of one trial.

Each epoch hashes what the one before it left, so a run that was killed, paused and resumed can be
told from one that was never stopped. What it did is noted in the ledger, for the checker.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from tests.faults.failing_gpus import fails_now
from worker import protocol
from worker.protocol import TrialToRun

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

    def note_begin(self, trial: TrialToRun, together: int = 1) -> None:
        resumed = trial.resume.epoch if trial.resume else None
        self.note("begin", trial, resumed=resumed, together=together)

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
        self.halts_at = trial.halts_at
        self.together = 1

    def run(self) -> str:
        """How it ended."""
        self.begin()
        while True:
            self.talk.listen(self.pace_s)
            if (how := self.one_step()) is not None:
                return how

    def begin(self) -> None:
        """Go on from its checkpoint, and say so."""
        self._resume()
        self.talk.say(
            protocol.Started(
                **self.of, environment={"device": "paced"}, total=float(self.epochs), unit="epoch"
            )
        )

    def one_step(self) -> str | None:
        """An epoch, and how it ended the run; None when it did not."""
        if self.ledger.gpu_fails():
            return self.fail_for_the_gpu()
        if not self._begins_where_it_is_to_end():
            self._one_epoch()
        wish = self._wish()
        if wish == "cancel":
            self.talk.say(protocol.Cancelled(**self.of))
            return "cancelled"
        if wish is not None or self.epoch == self.epochs or self.epoch % self.every == 0:
            self._save()
        if wish == "pause" and self.epoch < self.epochs:
            self._await_kept()
            self.talk.say(protocol.Paused(**self.of, epoch=self.epoch))
            return "paused"
        return self._succeed() if wish == "stop" or self.epoch == self.epochs else None

    def _begins_where_it_is_to_end(self) -> bool:
        """Its checkpoint is of the last epoch, or of its rung, or it is to go no further."""
        resume = self.trial.resume
        at_once = resume is not None and self.epoch == resume.epoch and self._wish() is not None
        return at_once or self.epoch >= self.epochs

    def _wish(self) -> str | None:
        """What is wanted of it at this epoch's end; at its rung it pauses by itself."""
        halts = self.halts_at is not None and self.epoch >= self.halts_at
        return self.talk.wishes.get(self.id) or ("pause" if halts else None)

    def fail_for_the_gpu(self) -> str:
        """Its device is broken."""
        # Before it is said: the slot may end this process at once.
        self.ledger.note("fault", self.trial)
        reason = f"CUDA_ERROR_ECC_UNCORRECTABLE on {self.ledger.gpu}"
        self.talk.say(protocol.Failed(**self.of, reason_kind="gpu_fault", reason=reason))
        return "gpu_fault"

    def _succeed(self) -> str:
        early = self.epoch < self.epochs
        summary: dict[str, Any] = {"weights_sha256": self.state, "epochs": self.epoch}
        metrics = {
            "test_accuracy": self._value(), "val_accuracy": self.best,
            # Each of a group costs less than one alone, so larger groups are tried.
            "images_per_second": 100.0 * self.together, "epochs_run": float(self.epoch),
        }  # fmt: skip
        self.talk.say(
            protocol.Result(**self.of, metrics=metrics, summary=summary, ended_early=early)
        )
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
