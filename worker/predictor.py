"""A worker's predictor: answers questions to trained models, beside the slots and their trials."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from db import predictions
from db.errors import FencedOff
from db.predictions import ClaimedPrediction
from db.uploads import digests_there
from labpool.uploads import DIGEST as UPLOADS
from worker.answering import LEASE_S, Answering, Checkpoints
from worker.database_access import DatabaseAway
from worker.devices import Device
from worker.guards import MEBIBYTE
from worker.host import Host
from worker.process import COMMAND
from worker.upload_cache import UploadCache
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

DEVICE: Final = Device("cpu", "predictions", threads=1, kinds=())
"""One thread of the processor, whatever the slots hold: a question takes no GPU from a trial."""
LOOK_EVERY_S: Final = 2.0
"""Without a ring. Somebody sits before a page; the look is one read of a short index."""
LONGEST_PAUSE_S: Final = 60.0
MEMORY_LIMIT_MB: Final = 6144
MOST_SERVED: Final = 2000
LONGEST_LOG_BYTES: Final = MEBIBYTE
CLEAN_EVERY_S: Final = 600.0


class Predictor:
    """A thread that claims questions, and a runner of its own that answers them on the processor.

    The runner comes with the first question, a slot's standby if there is one to spare, and ends
    when no question came for a while.
    """

    def __init__(
        self,
        host: Host,
        command: Sequence[str] = COMMAND,
        lend: Callable[[], WatchedRunner | None] = lambda: None,
    ) -> None:
        """``lend`` gives a runner away that has its imports done, or None."""
        self._host = host
        self._command = command
        self._lend = lend
        self._folder = host.scratch.folder / "predictor"
        self._checkpoints = Checkpoints(self._folder / "checkpoints")
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._enrolled = False
        self._runner: WatchedRunner | None = None
        self._started = 0
        self._idle_since_s = host.clock()
        self._clean_due_s = host.clock()
        self._troubles = 0
        self._thread = threading.Thread(target=self._run, name="predictor", daemon=True)

    def start(self) -> None:
        """Start the thread; it claims nothing before `enrol`."""
        self._thread.start()

    def enrol(self) -> None:
        """The worker is known to the database."""
        self._enrolled = True
        self._wake.set()

    def ring(self) -> None:
        """There may be a question. Returns at once, from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more and give back what is asked just now; returns at once."""
        self._stopping.set()
        self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; False when it has not ended in time."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                # Cleared before the look: a ring during it must lead to another.
                self._wake.clear()
                self._wake.wait(self._cycle())
        finally:
            self._retire("the worker ends")

    def _cycle(self) -> float:
        """Answer what there is; how long to wait then, in seconds."""
        try:
            if self._enrolled:
                self._drain()
                self._clean_up()
            self._troubles = 0
        except DatabaseAway:
            return LOOK_EVERY_S
        except Exception:
            # Whatever it was, this thread is the predictor: it goes on, slower each time.
            logger.exception("the predictor is in trouble")
            self._retire("the predictor met an error of its own")
            self._troubles += 1
            return min(LOOK_EVERY_S * 2.0 ** min(self._troubles, 10), LONGEST_PAUSE_S)
        idle_s = self._host.clock() - self._idle_since_s
        if self._runner is not None and idle_s >= self._host.settings.predictor_idle_s:
            self._retire("nobody asked for a while")
        return LOOK_EVERY_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter

    def _drain(self) -> None:
        while not self._stopping.is_set() and self._host.database.read(predictions.has_open):
            claimed = self._claim()
            if claimed is None:
                return
            self._answer(claimed)
            self._idle_since_s = self._host.clock()

    def _claim(self) -> ClaimedPrediction | None:
        catalog = self._host.catalog
        code = [entry.digest for entry in catalog.models.values()]
        data = [*(entry.digest for entry in catalog.datasets.values()), UPLOADS]
        return self._host.database.write(
            lambda session: predictions.claim(session, self._host.worker_id, code, data, LEASE_S)
        )

    def _answer(self, claimed: ClaimedPrediction) -> None:
        self._make_folders()
        answering = Answering(
            self._host, claimed, self._folder, self._checkpoints, self._stopping.is_set
        )
        is_well = False
        try:
            is_well = answering.carry_out(self._warm)
        except FencedOff:
            logger.warning("prediction %d was taken back or ended", claimed.prediction_id)
        finally:
            if not is_well:
                self._retire("it gave no answer")
            self._retire_if_worn()

    def _warm(self) -> WatchedRunner:
        """A living runner. Raises OSError."""
        if self._runner is not None and not self._runner.is_alive:
            self._retire("it ended")
        if self._runner is None:
            self._runner = self._lend() or self._start()
            limit_mb = self._host.settings.memory_limit_mb or MEMORY_LIMIT_MB
            self._runner.guards.memory_limit_mb = limit_mb
            logger.info("runner %d is for predictions", self._runner.pid)
        return self._runner

    def _start(self) -> WatchedRunner:
        self._started += 1
        home = self._folder / f"home-{self._started % 2}"
        return WatchedRunner(
            DEVICE, home, clock=self._host.clock, on_end=self._wake.set, command=self._command
        )

    def _retire_if_worn(self) -> None:
        runner = self._runner
        if runner is None:
            return
        runner.note_served()
        if runner.trials_served >= MOST_SERVED:
            self._retire(f"it answered {runner.trials_served} questions")
        elif (grown := runner.grown_mb()) > self._host.settings.runner_growth_mb:
            self._retire(f"it grew by {grown:,.0f} MiB")
        elif _size_of(runner.log) > LONGEST_LOG_BYTES:
            self._retire("its log is full")

    def _retire(self, why: str) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.retire()
            logger.info("runner %d for predictions retired: %s", runner.pid, why)

    def _make_folders(self) -> None:
        (self._folder / "checkpoints").mkdir(mode=0o700, parents=True, exist_ok=True)

    def _clean_up(self) -> None:
        """Delete what was asked long ago, whoever answered it, and copies of uploads in vain."""
        now = self._host.clock()
        if now < self._clean_due_s:
            return
        self._clean_due_s = now + CLEAN_EVERY_S * random.uniform(0.75, 1.25)  # noqa: S311
        kept_s = self._host.settings.predictions_kept_s
        dropped = self._host.database.write(lambda session: predictions.drop_old(session, kept_s))
        if dropped:
            logger.info("deleted %d old predictions", dropped)
        try:
            removed = UploadCache.of(self._host.settings).tidy(
                lambda digests: self._host.database.read(
                    lambda session: digests_there(session, digests)
                )
            )
        except OSError as error:
            logger.warning("copies of uploads could not be tidied: %s", error)
        else:
            if removed:
                logger.info("removed %d copies of uploads that nobody needs", removed)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
