"""kill -9 at random moments of training runs: what is lost of the work, and what becomes of it.

Each run is real Keras with dropout and momentum. It is trained once in peace, then again under
kills of its runner and of its whole worker in turn, until as many kills as wanted have struck; its
final weights must be those of the peaceful run, bit for bit. A kill may strike at any moment once
the attempt has begun: while the model is traced, in an epoch, while a checkpoint is written or
recorded.
An attempt loses the epochs that its log names after the checkpoint from which the next one goes on.

A run whose runner is killed again and again before it makes a checkpoint is given up, as it should
be; so after two such kills in a row a checkpoint is awaited before the moment is drawn.

    python -m tests.faults --only kills
"""

from __future__ import annotations

import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import func, select

from db import submissions
from db.engine import Database
from db.models import Attempt, Checkpoint, Result, Trial
from db.states import TERMINAL, TrialState
from deploy.child import Child
from deploy.process_table import ProcessId, descendants, is_alive, kill_if_alive
from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import CHECKOUT
from tests.support.databases import fresh_database
from tests.support.pool import person
from tests.support.processes import Processes, wait_until

KILLS: Final = 100
KILLS_QUICK: Final = 2
INTERVAL_EPOCHS: Final = 2
SEED: Final = 20261123
LONGEST_WAIT_S: Final = 2.5
PATIENCE_S: Final = 300.0
SPEC: Final[Mapping[str, Any]] = {
    "kind": "train",
    "model": "mlp",
    "parameters": {"hidden": [64, 64], "dropout": 0.3},
    "dataset": "digits",
    "optimizer": "momentum",
    "learning_rate": 0.01,
    "learning_rate_decay": 0.999,
    "batch_size": 8,
    "checkpoint_every_epochs": INTERVAL_EPOCHS,
}
EPOCHS: Final = 60
EPOCHS_QUICK: Final = 16
SETTINGS: Final[dict[str, str]] = {
    # The other one has a warm runner when this one's is killed.
    "LABPOOL_SLOTS": "2",
    "LABPOOL_LEASE_TTL_S": "5",
    "LABPOOL_BEAT_S": "0.5",
    "LABPOOL_POLL_S": "0.2",
    "LABPOOL_MAX_LOSSES": "1000",
    "LABPOOL_BROKER_URL": "redis+socket:///nowhere/broker.sock",
}
# What must be the same, beside both digests of weights.
MEASURED: Final = ("test_accuracy", "test_loss", "val_accuracy", "val_loss", "best_epoch")

BOUNDS = {
    "kills": "== kills_wanted",
    "worst_epochs_lost": "<= checkpoint_interval_epochs",
    "weights_equal": "== true",
}
FULL_BOUNDS = {"kills": ">= 100"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """How many kills there were, the most epochs that one cost, and whether all came out equal."""
    wanted = KILLS_QUICK if quick else KILLS
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        fresh_database("sqlite") as database,
        Processes(Path(folder)) as processes,
    ):
        url = database.engine.url.render_as_string(hide_password=False)
        environment = processes.environment(None, LABPOOL_DATABASE_URL=url, **SETTINGS)
        worker = processes.worker(environment)
        scratch = Path(environment["LABPOOL_DATA_DIR"]) / "scratch"
        bench = Bench(database, worker, scratch, EPOCHS_QUICK if quick else EPOCHS)
        seed = 0
        while bench.kills < wanted:
            bench.one_run(seed, wanted)
            seed += 1
    return {
        "kills": bench.kills,
        "kills_wanted": wanted,
        "killed_runs": seed,
        "worst_epochs_lost": bench.worst_epochs_lost,
        "checkpoint_interval_epochs": INTERVAL_EPOCHS,
        "weights_equal": bench.weights_equal,
    }


class Bench:
    """One worker, and what was counted on it."""

    def __init__(self, database: Database, worker: Child, scratch: Path, epochs: int) -> None:
        self.kills = 0
        self.worst_epochs_lost = 0
        self.weights_equal = True
        self._database = database
        self._worker = worker
        self._scratch = scratch
        self._epochs = epochs
        self._catalog = Catalog.load([CHECKOUT / "catalog"])
        self._random = random.Random(SEED)

    def one_run(self, seed: int, wanted: int) -> None:
        """A run in peace, the same one under kills, and what they have in common."""
        peaceful = self._submit(seed)
        self._until(lambda: self._state(peaceful) in TERMINAL, "a run in peace")
        harried = self._submit(seed)
        done: dict[int, int] = {}
        while self.kills < wanted and (fence := self._next_attempt(harried, done)) is not None:
            done[fence] = self._kill(harried, fence)
        self._until(lambda: self._state(harried) in TERMINAL, "the end of a killed run")
        self._count(harried, done)
        if not self._same(peaceful, harried):
            self.weights_equal = False
        worst = f"worst loss {self.worst_epochs_lost} epochs"
        print(f"  run {seed}: {self.kills} kills so far; {worst}, equal: {self.weights_equal}")

    def _submit(self, seed: int) -> int:
        planned = plan({**SPEC, "epochs": self._epochs, "seed": seed}, self._catalog)
        return self._database.run(
            lambda session: submissions.submit(session, person(session), planned).trial_ids[0]
        )

    def _next_attempt(self, trial_id: int, done: Mapping[int, int]) -> int | None:
        """The fence of an attempt that has begun and was not killed yet; None at the end."""
        found: list[int] = []

        def begun_or_over() -> bool:
            with self._database.snapshot() as session:
                trial = session.get_one(Trial, trial_id)
                attempt = session.scalars(
                    select(Attempt).where(
                        Attempt.trial_id == trial_id, Attempt.fence == trial.fence
                    )
                ).one_or_none()
                at_work = attempt and attempt.environment and attempt.ended_at is None
                if attempt is not None and at_work and attempt.fence not in done:
                    found.append(attempt.fence)
                return bool(found) or trial.state in TERMINAL

        self._until(begun_or_over, "an attempt's begin")
        return found[0] if found else None

    def _kill(self, trial_id: int, fence: int) -> int:
        """Kill the runner or the worker of an attempt; how many epochs it had done."""
        if self._barren(trial_id) >= 2:
            self._until(lambda: self._checkpoints(trial_id, fence) > 0, "a checkpoint")
        folder = next(self._scratch.glob(f"*/*/{trial_id}-{fence}"), None)
        if folder is None:
            return 0  # it ended just now
        with (folder / "log.txt").open("rb") as log:
            time.sleep(self._random.uniform(0.0, LONGEST_WAIT_S))
            family = descendants(self._worker.pid)
            runners = [one for one in family if _works_in(one, folder.parent)]
            if self._state(trial_id) is not TrialState.RUNNING or not runners:
                return _epochs_in(log)
            if self.kills % 2 == 0:
                kill_if_alive(runners[0])
            else:
                self._worker.kill()
            self._until(lambda: not any(map(is_alive, runners)), "a runner's end")
            self.kills += 1
            epochs = _epochs_in(log)
        if not self._worker.running:
            self._worker.start()
        return epochs

    def _count(self, trial_id: int, done: Mapping[int, int]) -> None:
        """What each kill cost: from what was done to where the next attempt went on."""
        with self._database.snapshot() as session:
            attempts = session.scalars(
                select(Attempt).where(Attempt.trial_id == trial_id).order_by(Attempt.fence)
            ).all()
        for killed, following in pairwise(attempts):
            reached = max(done.get(killed.fence, 0), killed.resumed_epoch or 0)
            lost = reached - (following.resumed_epoch or 0)
            self.worst_epochs_lost = max(self.worst_epochs_lost, lost)

    def _same(self, one_id: int, other_id: int) -> bool:
        with self._database.snapshot() as session:
            one, other = session.get(Result, one_id), session.get(Result, other_id)
            if one is None or other is None:
                trials = [session.get_one(Trial, number) for number in (one_id, other_id)]
                print([(trial.state, trial.reason) for trial in trials], file=sys.stderr)
                return False
            digests = ("weights_sha256", "best_weights_sha256")
            return all(one.summary[key] == other.summary[key] for key in digests) and all(
                one.metrics[key] == other.metrics[key] for key in MEASURED
            )

    def _barren(self, trial_id: int) -> int:
        """Attempts since the one that made the newest checkpoint."""
        with self._database.snapshot() as session:
            newest = session.scalar(
                select(func.max(Checkpoint.fence)).where(Checkpoint.trial_id == trial_id)
            )
            found = session.scalar(
                select(func.count())
                .select_from(Attempt)
                .where(
                    Attempt.trial_id == trial_id,
                    Attempt.ended_at.is_not(None),
                    Attempt.fence > (newest or 0),
                )
            )
            return found or 0

    def _checkpoints(self, trial_id: int, fence: int) -> int:
        with self._database.snapshot() as session:
            found = session.scalar(
                select(func.count())
                .select_from(Checkpoint)
                .where(Checkpoint.trial_id == trial_id, Checkpoint.fence == fence)
            )
            return found or 0

    def _state(self, trial_id: int) -> TrialState:
        with self._database.snapshot() as session:
            return session.get_one(Trial, trial_id).state

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            assert self._worker.running, f"the worker ended:\n{self._worker.log_tail(40)}"
            return condition()

        alive = condition if what == "a runner's end" else holds
        wait_until(alive, PATIENCE_S, what, poll_s=0.02)


def _works_in(process: ProcessId, slot: Path) -> bool:
    """Whether it is the runner of the slot with this folder."""
    try:
        return Path(f"/proc/{process.pid}/cwd").readlink() == slot / "home"
    except OSError:
        return False


def _epochs_in(log: IO[bytes]) -> int:
    """The last epoch that an attempt's log calls done."""
    log.seek(0, os.SEEK_SET)
    found = re.findall(rb"^epoch (\d+)/", log.read(), re.MULTILINE)
    return max(map(int, found), default=0)
