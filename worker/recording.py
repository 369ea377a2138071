"""What one attempt brings, written into the database and the artifact store under its fence."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.orm import Session

from db import findings, owner
from db.artifacts import ArtifactStore
from db.claims import ClaimedTrial
from db.errors import FencedOff
from worker import already
from worker.curves import CurveChunk, Curves
from worker.database_access import DatabaseAccess
from worker.keeping import AttemptFiles, Misbehaved
from worker.logs import TrialLog
from worker.protocol import Artifact, Checkpoint, Points, Result

T = TypeVar("T")

MOST_ARTIFACTS: Final = 200


class Recorder:
    """The one writer of one attempt.

    Every method raises FencedOff when the trial belongs to somebody else by now, and DatabaseAway
    when the database stayed away until ``give_up`` said that waiting is over. ``beside`` does
    what may take long while heartbeats go on.
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
    ) -> None:
        """``files`` is the folder that the runner writes to."""
        self.trial = claimed.trial_id
        self.fence = claimed.fence
        self.progress: tuple[float, float, str] | None = None
        self.kept_epoch: int | None = None
        # What was stored made the trial's sweep do something, which slots should hear of.
        self.stirred = False
        self._database = database
        self._log = log
        self._files = AttemptFiles(store, claimed, files, log, beside, clock)
        self._give_up = give_up
        self._curves = Curves()
        self._stored_progress: findings.Progress | None = None
        self._tries = 0
        self._artifacts: set[str] = set()

    @property
    def refusals(self) -> int:
        """How many files the store did not take."""
        return self._files.refusals

    def started(self, environment: dict[str, Any], total: float, unit: str) -> None:
        """The trial's code runs; ``environment`` is what it runs in."""
        done = float(environment.get("resumed_epoch") or 0) if unit == "epoch" else 0.0
        progress = self.progress = (done, total, unit)
        self._insist(
            lambda session: owner.note_started(
                session, self.trial, self.fence, environment, progress
            )
        )
        self._stored_progress = progress

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
        self._insist(lambda session: self._add_points(session, chunks, progress))
        self._stored_progress = progress

    def checkpoint(self, message: Checkpoint) -> None:
        """Publish and record a checkpoint, and forget those that it replaces; see `kept_epoch`.

        What was measured before it is stored with it: a run that resumes there does not measure it
        again. Raises NotAsAnnounced, Misbehaved.
        """
        key = self._files.publish(message.file, message.bytes, message.sha256)
        if key is None:
            return
        chunks = self._chunks()
        row = findings.CheckpointRecord(
            epoch=message.epoch,
            key=key,
            sha256=message.sha256,
            bytes=message.bytes,
            value=message.value,
            best=message.best,
        )

        def write(session: Session) -> list[str]:
            self._add_points(session, chunks)
            if self._tries > 1 and already.checkpoint_is_there(
                session, self.trial, self.fence, message.epoch
            ):
                return []
            return findings.record_checkpoint(session, self.trial, self.fence, row)

        for obsolete in self._recording(key, write):
            self._files.delete(obsolete)
        self.kept_epoch = message.epoch
        self._files.forget(message.file)

    def artifact(self, message: Artifact) -> None:
        """Publish and record a file for the user. Raises NotAsAnnounced, Misbehaved."""
        if message.name in self._artifacts or len(self._artifacts) >= MOST_ARTIFACTS:
            raise Misbehaved(f"Artifact {message.name!r} is one too many.")
        self._artifacts.add(message.name)
        key = self._files.publish(message.file, message.bytes, message.sha256)
        if key is None:
            return
        row = findings.ArtifactRecord(
            name=message.name,
            key=key,
            media_type=message.media_type,
            bytes=message.bytes,
            sha256=message.sha256,
        )
        obsolete = self._recording(
            key, lambda session: findings.record_artifact(session, self.trial, self.fence, row)
        )
        for old in obsolete:
            self._files.delete(old)
        self._files.forget(message.file)

    def publish_growing_log(self) -> None:
        """Let users see the log of a running trial; a large one more seldom."""
        published = self._files.publish_grown_log()
        if published is not None:
            key, size_bytes = published
            self._insist(
                lambda session: findings.set_log(session, self.trial, self.fence, key, size_bytes)
            )

    def succeed(self, result: Result) -> None:
        """The result, the last points and the log, all or nothing."""
        self._finish(
            lambda session, chunks: owner.succeed(
                session,
                self.trial,
                self.fence,
                result.metrics,
                result.summary,
                result.ended_early,
                chunks,
                self.progress,
            )
        )

    def fail(self, reason_kind: str, reason: str, log_tail: str | None = None) -> None:
        """The trial failed; its reason goes with the tail of its log."""
        tail = self._log.tail() if log_tail is None else log_tail
        self._finish(
            lambda session, chunks: owner.fail(
                session, self.trial, self.fence, reason_kind, reason, tail, chunks
            )
        )

    def cancel(self, reason: str) -> None:
        """The trial stopped because somebody asked for it."""
        self._finish(
            lambda session, chunks: owner.cancel(session, self.trial, self.fence, reason, chunks)
        )

    def prune(self) -> None:
        """The trial stopped because its sweep goes on without it."""
        self._finish(lambda session, chunks: owner.prune(session, self.trial, self.fence, chunks))

    def pause(self, epoch: int) -> None:
        """The trial gives its slot back after ``epoch``, whose checkpoint is recorded."""
        self._finish(
            lambda session, chunks: owner.pause(
                session, self.trial, self.fence, chunks, self.progress, epoch
            )
        )

    def release(self, reason: str, reason_kind: str | None = None, alone: bool = False) -> None:
        """Give the trial back, uncharged: it was not at fault."""
        self._finish(
            lambda session, chunks: owner.release(
                session,
                self.trial,
                self.fence,
                reason,
                chunks=chunks,
                alone=alone,
                reason_kind=reason_kind,
            )
        )

    def _finish(self, write: Callable[[Session, Sequence[findings.Chunk]], None]) -> None:
        published = self._files.publish_log()
        chunks = self._chunks()

        def finish(session: Session) -> None:
            if published is not None:
                findings.set_log(session, self.trial, self.fence, *published)
            write(session, self._unstored(session, chunks))

        self._insist(finish)

    def _unstored(self, session: Session, chunks: Sequence[findings.Chunk]) -> list[findings.Chunk]:
        """Those of ``chunks`` that an earlier try did not store.

        A COMMIT whose answer was lost may have been done; only then is there a doubt to settle.
        """
        if self._tries == 1:
            return list(chunks)
        return [
            chunk
            for chunk in chunks
            if not already.points_are_there(session, self.trial, self.fence, chunk)
        ]

    def _recording(self, key: str, work: Callable[[Session], T]) -> T:
        """Write the row of a file just put; without the fence nobody would ever remove the file."""
        try:
            return self._insist(work)
        except FencedOff:
            # After a second try the row of the first may be there, its COMMIT's answer lost.
            if self._tries == 1:
                self._files.delete(key)
            raise

    def _chunks(self) -> list[findings.Chunk]:
        return [_as_row(chunk) for chunk in self._curves.take()]

    def _add_points(
        self,
        session: Session,
        chunks: Sequence[findings.Chunk],
        progress: findings.Progress | None = None,
    ) -> None:
        unstored = self._unstored(session, chunks)
        if findings.record_metrics(session, self.trial, self.fence, unstored, progress):
            self.stirred = True

    def _insist(self, work: Callable[[Session], T]) -> T:
        self._tries = 0

        def counted(session: Session) -> T:
            self._tries += 1
            return work(session)

        return self._database.insist(counted, self._give_up)


def _as_row(chunk: CurveChunk) -> findings.Chunk:
    return findings.Chunk(
        name=chunk.name,
        steps=chunk.steps,
        epochs=chunk.epochs,
        times_s=chunk.times_s,
        values=chunk.values,
    )
