"""What one attempt brings, written into the database and the artifact store under its fence.

Most of it goes through the lease's `Writer`, which may gather it with what other trials bring.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.orm import Session

from db import findings, owner
from db.artifacts import ArtifactStore
from db.claims import ClaimedTrial
from worker import already
from worker.database_access import DatabaseAccess
from worker.ends import Ends
from worker.files import Outgoing
from worker.keeping import AttemptFiles, Misbehaved
from worker.logs import TrialLog
from worker.protocol import Artifact, Checkpoint, Points
from worker.writing import Write, Writer

T = TypeVar("T")

MOST_ARTIFACTS: Final = 200


class Recorder(Ends):
    """The one writer of one attempt.

    Unless it is gathered, every write raises FencedOff when the trial belongs to somebody else by
    now, and DatabaseAway when the database stayed away until ``give_up`` said that waiting is over.
    ``beside`` does what may take long while heartbeats go on. ``then`` is called when all is done.
    """

    def __init__(
        self,
        database: DatabaseAccess,
        store: ArtifactStore,
        claimed: ClaimedTrial,
        files: Path,
        log: TrialLog,
        give_up: Callable[[], bool],
        beside: Callable[[Callable[[], None]], None],
        clock: Callable[[], float] = time.monotonic,
        writer: Writer | None = None,
    ) -> None:
        """``files`` is the folder that the runner writes to; ``writer`` the lease's."""
        super().__init__(
            claimed,
            AttemptFiles(store, claimed, files, log, beside, clock),
            log,
            writer or Writer(database, store, beside, give_up),
        )
        self.kept_epoch: int | None = None
        # What was stored made the trial's sweep do something, which slots should hear of.
        self.stirred = False
        self._stored_progress: findings.Progress | None = None
        self._artifacts: set[str] = set()

    @property
    def refusals(self) -> int:
        """How many files the store did not take."""
        return self._files.refusals

    def started(self, environment: dict[str, Any], total: float, unit: str) -> None:
        """The trial's code runs; ``environment`` is what it runs in."""
        done = float(environment.get("resumed_epoch") or 0) if unit == "epoch" else 0.0
        progress = self.progress = (done, total, unit)

        def rows(session: Session, _again: bool) -> None:
            owner.note_started(session, self.trial, self.fence, environment, progress)

        self._write(rows, lambda _: self._note_stored(progress))

    def points(self, message: Points) -> None:
        """Gather points; `flush` stores them."""
        self._curves.add(message)

    @property
    def has_news(self) -> bool:
        """Whether points or progress wait for a `flush`."""
        return bool(self._curves) or self.progress != self._stored_progress

    def flush(self) -> None:
        """Store the points gathered so far, and how far the trial is."""
        if not self.has_news:
            return
        chunks, progress = self._chunks(), self.progress
        self._write(
            lambda session, again: self._add_points(session, again, chunks, progress),
            lambda _: self._note_stored(progress),
        )

    def checkpoint(self, message: Checkpoint, then: Callable[[], None] = lambda: None) -> None:
        """Publish and record a checkpoint, and forget those that it replaces; see `kept_epoch`.

        What was measured before it is stored with it: a run that resumes there does not measure it
        again. Raises NotAsAnnounced, Misbehaved.
        """
        file = self._files.announce(message.file, message.bytes, message.sha256)
        chunks = self._chunks()
        row = findings.CheckpointRecord(
            epoch=message.epoch,
            key=file.key,
            sha256=message.sha256,
            bytes=message.bytes,
            value=message.value,
            best=message.best,
        )

        def rows(session: Session, again: bool) -> list[str]:
            self._add_points(session, again, chunks)
            if not file.stored or (
                again
                and already.checkpoint_is_there(session, self.trial, self.fence, message.epoch)
            ):
                return []
            return findings.record_checkpoint(session, self.trial, self.fence, row)

        def filed() -> bool:
            if self._files.is_stored(file):
                self.kept_epoch = message.epoch
            return True

        def done(obsolete: list[str]) -> None:
            self._replaced(file, obsolete)
            then()

        self._write(rows, done, file, filed)

    def artifact(self, message: Artifact) -> None:
        """Publish and record a file for the user. Raises NotAsAnnounced, Misbehaved."""
        if message.name in self._artifacts or len(self._artifacts) >= MOST_ARTIFACTS:
            raise Misbehaved(f"Artifact {message.name!r} is one too many.")
        self._artifacts.add(message.name)
        file = self._files.announce(message.file, message.bytes, message.sha256)
        row = findings.ArtifactRecord(
            name=message.name,
            key=file.key,
            media_type=message.media_type,
            bytes=message.bytes,
            sha256=message.sha256,
        )
        self._write(
            lambda session, _: findings.record_artifact(session, self.trial, self.fence, row),
            lambda obsolete: self._replaced(file, obsolete),
            file,
            lambda: self._files.is_stored(file),
        )

    def publish_growing_log(self) -> None:
        """Let users see the log of a running trial; a large one more seldom."""
        log = self._files.grown_log()
        if log is None:
            return
        key, size_bytes = log.file.key, log.size_bytes
        self._writer.add(
            Write(
                self.trial,
                lambda session, _: findings.set_log(
                    session, self.trial, self.fence, key, size_bytes
                ),
                files=[log.file],
                filed=lambda: self._files.is_log_stored(log),
            )
        )

    def _write(
        self,
        rows: Callable[[Session, bool], T],
        then: Callable[[T], None],
        file: Outgoing | None = None,
        filed: Callable[[], bool] = lambda: True,
    ) -> None:
        def lost(again: bool) -> None:
            # Without a row nobody would ever remove the file. After a second try the row of the
            # first may be there, its COMMIT's answer lost.
            if file is not None and file.stored and not again:
                self._files.delete(file.key)

        files = [] if file is None else [file]
        self._writer.add(Write(self.trial, rows, then, files, filed, lost))

    def _replaced(self, file: Outgoing, obsolete: Sequence[str]) -> None:
        """A file's row is there: what it replaces can go, and the runner's copy of it."""
        for old in obsolete:
            self._files.delete(old)
        if file.stored:
            self._files.forget(file.key.rpartition("/")[2])

    def _note_stored(self, progress: findings.Progress | None) -> None:
        self._stored_progress = progress

    def _add_points(
        self,
        session: Session,
        again: bool,
        chunks: Sequence[findings.Chunk],
        progress: findings.Progress | None = None,
    ) -> None:
        unstored = self._unstored(session, again, chunks)
        if findings.record_metrics(session, self.trial, self.fence, unstored, progress):
            self.stirred = True
