"""What an attempt puts into the artifact store: its files and its log, below its own fence."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from db.artifacts import ArtifactStore
from db.claims import ClaimedTrial
from labpool.errors import LabpoolError
from worker.files import StoreRefused, check, publish
from worker.logs import TrialLog

logger = logging.getLogger(__name__)

LOG_FILE: Final = "log.txt"
"""The log's name in the store; no file of a runner may take it."""
MOST_FILES: Final = 10_000
SMALL_LOG_BYTES: Final = 256 * 1024
LARGE_LOG_EVERY_S: Final = 60.0


class Misbehaved(LabpoolError):
    """The runner announced what it must not."""


class AttemptFiles:
    """The one way of an attempt's files into the store.

    ``refusals`` counts the files that the store did not take.
    """

    def __init__(
        self,
        store: ArtifactStore,
        claimed: ClaimedTrial,
        files: Path,
        log: TrialLog,
        beside: Callable[[Callable[[], None]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``files`` is the folder that the runner writes to; ``beside`` does what may take long."""
        self.refusals = 0
        self._trial = claimed.trial_id
        self._fence = claimed.fence
        self._store = store
        self._files = files
        self._log = log
        self._beside = beside
        self._clock = clock
        self._taken: set[str] = {LOG_FILE}
        self._log_published: tuple[int, float] = (0, clock())

    def publish(self, file: str, size_bytes: int, digest: str) -> str | None:
        """The key of a file now in the store; None when the store refused it.

        Raises NotAsAnnounced, Misbehaved.
        """
        if file in self._taken or len(self._taken) >= MOST_FILES:
            raise Misbehaved(f"File {file} was announced before, or is one too many.")
        self._taken.add(file)
        key, abandoned = self._key(file), threading.Event()

        def work() -> None:
            publish(self._store, key, check(self._files, file, size_bytes, digest))
            if abandoned.is_set():
                # No row will ever name it.
                self._store.delete(key)

        try:
            self._beside(work)
        except StoreRefused as error:
            # What was there before stays; the run goes on without this file.
            abandoned.set()
            self.refusals += 1
            self._taken.discard(file)
            self._log.note(f"{file} could not be stored: {error}")
            logger.error("trial %d: %s", self._trial, error)
            self.delete(key)
            return None
        return key

    def publish_log(self) -> tuple[str, int] | None:
        """Key and bytes of the log as it is; None when it is empty or could not be stored."""
        written_bytes = self._log.written_bytes
        if written_bytes == 0:
            return None
        key, copy = self._key(LOG_FILE), self._log.path.with_name(f"{LOG_FILE}.copy")
        try:
            size_bytes = self._log.write_to(copy)
            self._beside(lambda: publish(self._store, key, copy))
        except (OSError, StoreRefused) as error:
            # A log is not worth a result.
            logger.error("the log of trial %d could not be stored: %s", self._trial, error)
            return None
        finally:
            copy.unlink(missing_ok=True)
        self._log_published = (written_bytes, self._clock())
        return key, size_bytes

    def publish_grown_log(self) -> tuple[str, int] | None:
        """The same for a log that has grown; a large one more seldom."""
        written_bytes, published_s = self._log_published
        grown = self._log.written_bytes != written_bytes
        due = written_bytes < SMALL_LOG_BYTES or self._clock() - published_s >= LARGE_LOG_EVERY_S
        return self.publish_log() if grown and due else None

    def forget(self, file: str) -> None:
        """The store has it; left behind, one a checkpoint would fill the scratch disk."""
        (self._files / file).unlink(missing_ok=True)

    def delete(self, key: str) -> None:
        """Take a file out of the store, as well as can be."""
        try:
            self._beside(lambda: self._store.delete(key))
        except (OSError, LabpoolError) as error:
            logger.warning("%s could not be removed from the store: %s", key, error)

    def _key(self, file: str) -> str:
        return f"trials/{self._trial}/{self._fence}/{file}"
