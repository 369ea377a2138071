"""kill -9 at random moments of training runs: what is lost of the work, and what becomes of it.

Each run is real Keras with dropout and momentum. It is trained once in peace, then again and again
under kills of its runner and of its whole worker in turn, until as many kills as wanted have struck
on each database; its final weights must be those of the peaceful run, bit for bit. A kill may
strike at any moment once the attempt has begun: while the model is traced, in an epoch, while a
checkpoint is written or recorded.
An attempt loses the epochs that its log names after the checkpoint from which the next one goes on.

A run whose runner is killed again and again before it makes a checkpoint is given up, as it should
be; so after two such kills in a row a checkpoint is awaited before the moment is drawn.

Most of the time goes into imports of TensorFlow, one after each kill. So each database has a worker
of one slot, which makes no more of them, and both are at work at the same time, on a core each.

    python -m tests.faults --only kills
"""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import IO, Final

from db.engine import Database
from db.states import TrialState
from deploy.child import Child
from deploy.process_table import ProcessId, descendants, is_alive, kill_if_alive
from tests.faults.service import NO_BROKER
from tests.faults.training_runs import INTERVAL_EPOCHS, TrainingRuns
from tests.support.databases import KINDS, fresh_database
from tests.support.processes import Processes, wait_until

KILLS: Final = 100
KILLS_QUICK: Final = 2
KINDS_QUICK: Final = ("postgres",)
EPOCHS: Final = 60
EPOCHS_QUICK: Final = 16
# Runs that differ; each is harried as often as it takes.
SEEDS: Final = 3
SEED: Final = 20261123
LONGEST_WAIT_S: Final = 2.5
PATIENCE_S: Final = 300.0
SETTINGS: Final[dict[str, str]] = {
    "LABPOOL_SLOTS": "1",
    "LABPOOL_THREADS_PER_SLOT": "1",
    "LABPOOL_LEASE_TTL_S": "5",
    "LABPOOL_BEAT_S": "0.5",
    "LABPOOL_POLL_S": "0.2",
    "LABPOOL_MAX_LOSSES": "1000",
    "LABPOOL_BROKER_URL": NO_BROKER,
}

BOUNDS = {
    "kills": "== kills_wanted",
    "worst_epochs_lost": "<= checkpoint_interval_epochs",
    "weights_equal": "== true",
}
FULL_BOUNDS = {"kills": ">= 100", "kills_sqlite": ">= 100", "kills_postgres": ">= 100"}


def figures(quick: bool) -> dict[str, float | int | bool | None]:
    """How many kills there were, the most epochs that one cost, and whether all came out equal.

    `kills` are those of the database that had fewer.
    """
    wanted, epochs = (KILLS_QUICK, EPOCHS_QUICK) if quick else (KILLS, EPOCHS)
    return counted(harry(KINDS_QUICK if quick else KINDS, wanted, epochs), wanted)


def counted(benches: Sequence[Bench], wanted: int) -> dict[str, float | int | bool | None]:
    """The figures of what was done on each database."""
    return {
        "kills": min(bench.kills for bench in benches),
        **{f"kills_{bench.kind}": bench.kills for bench in benches},
        "kills_wanted": wanted,
        "kills_while_writing": sum(bench.while_writing for bench in benches),
        "killed_runs": sum(bench.runs for bench in benches),
        "worst_epochs_lost": max(bench.worst_epochs_lost for bench in benches),
        "checkpoint_interval_epochs": INTERVAL_EPOCHS,
        "weights_equal": all(bench.weights_equal for bench in benches),
    }


def harry(kinds: tuple[str, ...], wanted: int, epochs: int) -> list[Bench]:
    """Kill on every database at the same time. Raises what the first that broke did."""
    abandoned = Event()
    with ExitStack() as stack:
        databases = {kind: stack.enter_context(fresh_database(kind)) for kind in kinds}
        threads = stack.enter_context(ThreadPoolExecutor(len(kinds)))
        stack.callback(abandoned.set)
        benches: list[Future[Bench]] = [
            threads.submit(harry_one, kind, database, wanted, epochs, abandoned)
            for kind, database in databases.items()
        ]
        ended, _ = wait(benches, return_when=FIRST_EXCEPTION)
        for bench in ended:
            bench.result()
        return [bench.result() for bench in benches]


def harry_one(kind: str, database: Database, wanted: int, epochs: int, abandoned: Event) -> Bench:
    """Kill on one database; its processes end with the thread that started them."""
    with (
        tempfile.TemporaryDirectory(prefix="lp-") as folder,
        Processes(Path(folder)) as processes,
    ):
        url = database.url.render_as_string(hide_password=False)
        environment = processes.environment(None, LABPOOL_DATABASE_URL=url, **SETTINGS)
        worker = processes.worker(environment)
        scratch = Path(environment["LABPOOL_DATA_DIR"]) / "scratch"
        bench = Bench(kind, TrainingRuns(database, epochs), worker, scratch, abandoned)
        while bench.kills < wanted:
            bench.one_run(wanted)
    return bench


class Bench:
    """One worker, and what was counted on it."""

    def __init__(
        self, kind: str, runs: TrainingRuns, worker: Child, scratch: Path, abandoned: Event
    ) -> None:
        self.kind = kind
        self.kills = 0
        self.while_writing = 0
        self.runs = 0
        self.worst_epochs_lost = 0
        self.weights_equal = True
        self._trials = runs
        self._worker = worker
        self._scratch = scratch
        self._abandoned = abandoned
        self._peaceful: dict[int, int] = {}
        self._random = random.Random(f"{SEED} {kind}")

    def one_run(self, wanted: int) -> None:
        """A run under kills, and what it has in common with the same one in peace."""
        seed = self.runs % SEEDS
        if seed not in self._peaceful:
            self._peaceful[seed] = self._trials.submit(seed)
            self._until_over(self._peaceful[seed])
        harried = self._trials.submit(seed)
        done: dict[int, int] = {}
        while self.kills < wanted and (fence := self._next_attempt(harried, done)) is not None:
            done[fence] = self._kill(harried, fence)
        self._until_over(harried)
        self.runs += 1
        lost = self._trials.worst_epochs_lost(harried, done)
        self.worst_epochs_lost = max(self.worst_epochs_lost, lost)
        if not self._trials.are_equal(self._peaceful[seed], harried):
            self.weights_equal = False
        print(
            f"  {self.kind}, run {self.runs}: {self.kills} kills so far; "
            f"worst loss {self.worst_epochs_lost} epochs, equal: {self.weights_equal}",
            flush=True,
        )

    def _next_attempt(self, trial_id: int, done: Mapping[int, int]) -> int | None:
        """The fence of an attempt that has begun and was not killed yet; None at the end."""
        found: list[int] = []

        def begun_or_over() -> bool:
            is_over = self._trials.is_over(trial_id)
            fence = self._trials.at_work(trial_id, done)
            if fence is not None:
                found.append(fence)
            return fence is not None or is_over

        self._until(begun_or_over, "an attempt's begin")
        return found[0] if found else None

    def _kill(self, trial_id: int, fence: int) -> int:
        """Kill the runner or the worker of an attempt; how many epochs it had done."""
        if self._trials.barren(trial_id) >= 2:
            self._until(
                lambda: (
                    self._trials.checkpoints(trial_id, fence) > 0 or self._trials.is_over(trial_id)
                ),
                "a checkpoint",
            )
        folder = next(self._scratch.glob(f"*/*/{trial_id}-{fence}"), None)
        if folder is None:
            return 0  # it ended just now
        with (folder / "log.txt").open("rb") as log:
            time.sleep(self._random.uniform(0.0, LONGEST_WAIT_S))
            family = descendants(self._worker.pid)
            runners = [one for one in family if _writes(one, log.name)]
            if self._trials.state(trial_id) is not TrialState.RUNNING or not runners:
                return _epochs_in(log)
            if self.kills % 2 == 0:
                kill_if_alive(runners[0])
            else:
                self._worker.kill()
            self.while_writing += any(folder.rglob(".epoch-*.unfinished"))
            wait_until(
                lambda: not any(map(is_alive, runners)), PATIENCE_S, "a runner's end", poll_s=0.02
            )
            self.kills += 1
            epochs = _epochs_in(log)
        if not self._worker.running:
            self._worker.start()
        return epochs

    def _until_over(self, trial_id: int) -> None:
        self._until(lambda: self._trials.is_over(trial_id), f"the end of trial {trial_id}")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        def holds() -> bool:
            assert not self._abandoned.is_set(), "the measure was broken off"
            assert self._worker.running, f"the worker ended:\n{self._worker.log_tail(40)}"
            return condition()

        wait_until(holds, PATIENCE_S, what, poll_s=0.05)


def _writes(process: ProcessId, log: str) -> bool:
    """Whether it is the runner whose output goes to this log."""
    try:
        return Path(f"/proc/{process.pid}/fd/1").readlink() == Path(log)
    except OSError:
        return False


def _epochs_in(log: IO[bytes]) -> int:
    """The last epoch that an attempt's log calls done."""
    log.seek(0, os.SEEK_SET)
    found = re.findall(rb"^epoch (\d+)/", log.read(), re.MULTILINE)
    return max(map(int, found), default=0)
