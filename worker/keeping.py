"""What an attempt puts into the artifact store: its files and its log, below its own fence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from db.artifacts import ArtifactStore
from db.claims import ClaimedTrial
from labpool.errors import LabpoolError
from worker.files import Outgoing, check
from worker.logs import TrialLog

logger = logging.getLogger(__name__)

LOG_FILE: Final = "log.txt"
"""The log's name in the store; no file of a runner may take it."""
MOST_FILES: Final = 10_000
SMALL_LOG_BYTES: Final = 256 * 1024
LARGE_LOG_EVERY_S: Final = 60.0


class Misbehaved(LabpoolError):
    """The runner announced what it must not."""


@dataclass(frozen=True, slots=True)
class OutgoingLog:
    """A copy of a log on its way into the store; ``written_bytes`` is how long it was then."""

    file: Outgoing
    copy: Path
    size_bytes: int
    written_bytes: int


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

    def announce(self, file: str, size_bytes: int, digest: str) -> Outgoing:
        """A file that the runner has announced, to be put into the store. Raises Misbehaved."""
        if file in self._taken or len(self._taken) >= MOST_FILES:
            raise Misbehaved(f"File {file} was announced before, or is one too many.")
        self._taken.add(file)
        return Outgoing(
            self._key(file), lambda: check(self._files, file, size_bytes, digest)
        )  # fmt: skip

    def is_stored(self, outgoing: Outgoing) -> bool:
        """Whether the store took it; one refused is counted, and may be announced again."""
        if outgoing.stored:
            return True
        # What was there before stays; the run goes on without this file.
        file = outgoing.key.rpartition("/")[2]
        self.refusals += 1
        self._taken.discard(file)
        self._log.note(f"{file} could not be stored: {outgoing.trouble}")
        logger.error("trial %d: %s", self._trial, outgoing.trouble)
        self.delete(outgoing.key)
        return False

    def log_as_it_is(self) -> OutgoingLog | None:
        """The log on its way into the store; None when it is empty or cannot be copied."""
        written_bytes = self._log.written_bytes
        if written_bytes == 0:
            return None
        copy = self._log.path.with_name(f"{LOG_FILE}.copy")
        try:
            size_bytes = self._log.write_to(copy)
        except OSError as error:
            logger.error("the log of trial %d could not be stored: %s", self._trial, error)
            copy.unlink(missing_ok=True)
            return None
        file = Outgoing(self._key(LOG_FILE), lambda: copy)
        return OutgoingLog(file, copy, size_bytes, written_bytes)

    def grown_log(self) -> OutgoingLog | None:
        """The same for a log that has grown; a large one more seldom."""
        written_bytes, published_s = self._log_published
        grown = self._log.written_bytes != written_bytes
        due = written_bytes < SMALL_LOG_BYTES or self._clock() - published_s >= LARGE_LOG_EVERY_S
        return self.log_as_it_is() if grown and due else None

    def is_log_stored(self, log: OutgoingLog) -> bool:
        """Whether the store took it. A log is not worth a result: nothing else comes of it."""
        log.copy.unlink(missing_ok=True)
        if not log.file.stored:
            logger.error(
                "the log of trial %d could not be stored: %s", self._trial, log.file.trouble
            )
            return False
        self._log_published = (log.written_bytes, self._clock())
        return True

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
