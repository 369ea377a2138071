"""How one attempt ends: its last points, its log and its result or reason, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session

from db import findings, owner
from db.claims import ClaimedTrial
from worker import already
from worker.curves import CurveChunk, Curves
from worker.keeping import AttemptFiles
from worker.logs import TrialLog
from worker.protocol import Result
from worker.writing import Write, Writer


class Ends:
    """What an attempt's one writer has in hand, and every way to bring it to an end."""

    def __init__(
        self, claimed: ClaimedTrial, files: AttemptFiles, log: TrialLog, writer: Writer
    ) -> None:
        """``writer`` is the lease's."""
        self.trial = claimed.trial_id
        self.fence = claimed.fence
        self.progress: findings.Progress | None = None
        self._files, self._log, self._writer = files, log, writer
        self._curves = Curves()

    def succeed(
        self,
        result: Result,
        then: Callable[[], None] = lambda: None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """The result, the last points and the log, all or nothing.

        Unless, with its files in the store or refused, it ``may`` not end like that any more.
        """
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
            ),
            then,
            may,
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

    def pause(
        self,
        epoch: int,
        then: Callable[[], None] = lambda: None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """The trial gives its slot back after ``epoch``, whose checkpoint is recorded.

        Unless, with its files in the store or refused, it ``may`` not any more.
        """
        self._finish(
            lambda session, chunks: owner.pause(
                session, self.trial, self.fence, chunks, self.progress, epoch
            ),
            then,
            may,
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

    def _finish(
        self,
        write: Callable[[Session, Sequence[findings.Chunk]], None],
        then: Callable[[], None] = lambda: None,
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        log = self._files.log_as_it_is()
        chunks = self._chunks()

        def filed() -> bool:
            if log is not None:
                self._files.is_log_stored(log)
            return may()

        def rows(session: Session, again: bool) -> None:
            if log is not None and log.file.stored:
                findings.set_log(session, self.trial, self.fence, log.file.key, log.size_bytes)
            write(session, self._unstored(session, again, chunks))

        files = [] if log is None else [log.file]
        self._writer.add(Write(self.trial, rows, lambda _: then(), files, filed))

    def _chunks(self) -> list[findings.Chunk]:
        return [_as_row(chunk) for chunk in self._curves.take()]

    def _unstored(
        self, session: Session, again: bool, chunks: Sequence[findings.Chunk]
    ) -> list[findings.Chunk]:
        """Those of ``chunks`` that an earlier try did not store.

        A COMMIT whose answer was lost may have been done; only then is there a doubt to settle.
        """
        if not again:
            return list(chunks)
        return [
            chunk
            for chunk in chunks
            if not already.points_are_there(session, self.trial, self.fence, chunk)
        ]


def _as_row(chunk: CurveChunk) -> findings.Chunk:
    return findings.Chunk(
        name=chunk.name,
        steps=chunk.steps,
        epochs=chunk.epochs,
        times_s=chunk.times_s,
        values=chunk.values,
    )
