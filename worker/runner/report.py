"""What one trial tells its slot while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from labpool.errors import LabpoolError
from worker import protocol
from worker.runner.connection import Connection, Wish
from worker.runner.files import Written
from worker.wire_types import Json, MediaType, Unit

PROGRESS_EVERY_S = 0.5


class TrialCancelled(LabpoolError):
    """The slot asked for an end to this trial."""


class TrialPaused(LabpoolError):
    """The trial stops after `epoch`, as was asked; its checkpoint has been announced."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"paused after epoch {epoch}")
        self.epoch = epoch


class Report:
    """Messages of one claim of one trial; counts its seconds from `started` on."""

    def __init__(
        self, connection: Connection, trial: int, fence: int, halts_at: int | None = None
    ) -> None:
        """`halts_at`: the epoch after which the trial pauses by itself."""
        self._connection = connection
        self._halts_at = halts_at
        self._trial = trial
        self._fence = fence
        self._claimed = (trial, fence)
        self._awaited: int | None = None
        self._began = time.monotonic()
        self._last_progress = -math.inf
        self._total = 0.0
        self._unit: Unit = "epoch"

    def started(self, environment: Json, total: float, unit: Unit) -> None:
        """The work begins: `total` epochs or samples are ahead."""
        self._began, self._total, self._unit = time.monotonic(), total, unit
        self._connection.send(
            protocol.Started(
                trial=self._trial,
                fence=self._fence,
                environment=environment,
                total=total,
                unit=unit,
            )
        )

    def metrics(self, step: int, epoch: float | None, values: Mapping[str, float]) -> None:
        """One point of each curve named."""
        self.points([step], [epoch], {name: [float(value)] for name, value in values.items()})

    def points(
        self,
        steps: Sequence[int],
        epochs: Sequence[float | None],
        values: Mapping[str, Sequence[float]],
        at_once: bool = False,
    ) -> None:
        """Points of each curve named, at steps that go up; sent soon, with others, or `at_once`.

        Numbers that are not finite travel as null. Raises ValidationError for names that are none.
        """
        time_s = time.monotonic() - self._began
        self._connection.gather(self._claimed, steps, epochs, time_s, values, at_once)

    def progress(self, done: float, at_once: bool = False) -> None:
        """How many of the total are done; sent at most every PROGRESS_EVERY_S, and at the end."""
        now = time.monotonic()
        soon = now - self._last_progress < PROGRESS_EVERY_S
        if soon and done < self._total and not at_once:
            return
        self._last_progress = now
        self._connection.send(
            protocol.Progress(
                trial=self._trial,
                fence=self._fence,
                done=done,
                total=self._total,
                unit=self._unit,
            )
        )

    def checkpoint(self, written: Written, epoch: int, value: float, best: bool) -> None:
        """A checkpoint lies in the scratch folder, durable."""
        self._connection.send(
            protocol.Checkpoint(
                trial=self._trial,
                fence=self._fence,
                file=written.name,
                epoch=epoch,
                bytes=written.bytes,
                sha256=written.sha256,
                value=value,
                best=best,
            )
        )
        self._awaited = epoch

    def artifact(self, written: Written, name: str, media_type: MediaType) -> None:
        """A file for the user lies in the scratch folder, durable."""
        self._connection.send(
            protocol.Artifact(
                trial=self._trial,
                fence=self._fence,
                file=written.name,
                name=name,
                media_type=media_type,
                bytes=written.bytes,
                sha256=written.sha256,
            )
        )

    def wait_until_kept(self, done: float) -> None:
        """Wait until the slot has dealt with the last checkpoint; tells it that all is well here.

        Raises TrialCancelled.
        """
        while self._awaited is not None:
            if self._connection.wait_until_kept(self._claimed, self._awaited, PROGRESS_EVERY_S):
                self._awaited = None
                self.stop_if_cancelled()
            else:
                self.progress(done)

    def wish(self, epoch: int) -> Wish | None:
        """What is to be done at the end of this epoch, counted from 1."""
        halts = self._halts_at is not None and epoch >= self._halts_at
        return self._connection.wish(self._claimed) or ("pause" if halts else None)

    def stop_if_cancelled(self) -> None:
        """A cancel point. Raises TrialCancelled."""
        if self._connection.is_cancelled(self._claimed):
            raise TrialCancelled
