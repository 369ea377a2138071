"""The loop over epochs: validation, the best epoch, checkpoints, wishes, the test at the end.

What an epoch is and what is measured is left to a subclass: a network's, or a program's.
"""

from __future__ import annotations

import errno
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labpool.model_form import LOSS, Judging
from worker.runner import checkpoints
from worker.runner.checkpoints import Arrays, Checkpoint
from worker.runner.digests import digest_of_weights
from worker.runner.reasons import DISK_FULL, Diverged
from worker.runner.report import Report, TrialPaused
from worker.runner.standing import Standing
from worker.wire_types import Json


@dataclass(frozen=True)
class Schedule:
    """The part of a resolved training spec that is the same whatever trains."""

    epochs: int
    seed: int
    patience: int | None
    checkpoint_every_epochs: int


@dataclass(frozen=True)
class Measures:
    """What was found on a split. A program may have no loss."""

    loss: float | None
    metrics: Mapping[str, float]

    def named(self, prefix: str = "") -> dict[str, float]:
        """The loss, where there is one, and the metrics by name."""
        loss = {} if self.loss is None else {LOSS: self.loss}
        return {f"{prefix}{name}": value for name, value in {**loss, **self.metrics}.items()}


class EpochLoop(ABC):
    """The state of a run between two epochs, and the loop over them."""

    def __init__(self, schedule: Schedule, judging: Judging, report: Report, scratch: Path) -> None:
        self._schedule, self._judging = schedule, judging
        self._report, self._scratch = report, scratch
        self.epoch = 0
        """Whole epochs done."""
        self._standing = Standing()
        self._best: Arrays = []
        self._train_seconds = 0.0
        self._epoch_seconds: list[float] = []
        self._resumed_at = 0
        self._saved_at = 0
        self._stopped = False
        self._validated: tuple[float, float] | None = None
        self._disk_was_full = False
        self._test = Measures(math.nan, {})

    @abstractmethod
    def _train_epoch(self) -> dict[str, float]:
        """Do epoch `self.epoch`, and give what is to be shown of it. Raises Diverged."""

    @abstractmethod
    def _measure(self, split: Literal["validation", "test"]) -> Measures:
        """Judge the state as it is now."""

    @abstractmethod
    def _model(self) -> Arrays:
        """Copies of what has been learned."""

    @abstractmethod
    def _set_model(self, arrays: Arrays) -> None:
        """Put back what `_model` gave. Raises CheckpointBroken."""

    @abstractmethod
    def _steps_per_epoch(self) -> int:
        """By how much the curves' step goes up in an epoch."""

    def _names(self) -> tuple[str, ...]:
        """Of the arrays of `_model`; none when their order says it all."""
        return ()

    def _layers(self) -> Mapping[str, Sequence[int]]:
        """For each layer by name which of the arrays of `_model` are its weights."""
        return {}

    def _optimizer(self) -> Arrays:
        return []

    def _set_optimizer(self, arrays: Arrays) -> None:
        del arrays

    def _rates(self) -> dict[str, float]:
        """What is drawn as a curve and printed nowhere, for epoch `self.epoch`."""
        return {}

    def _look_on(self, is_last: bool) -> None:
        """Show what there is to see after `self.epoch`, before its checkpoint is announced."""
        del is_last

    def _nearly(self) -> float:
        """The share of an epoch that is done when only a checkpoint is waited for."""
        return 1 - 1 / self._steps_per_epoch()

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Put everything back as it was after `checkpoint.epoch`. Raises CheckpointBroken."""
        self._set_model(checkpoint.model)
        self._set_optimizer(checkpoint.optimizer)
        self.epoch = self._resumed_at = self._saved_at = checkpoint.epoch
        self._standing, self._best = checkpoint.standing, checkpoint.best
        self._train_seconds = checkpoint.train_seconds

    def train(self) -> None:
        """Every epoch that is left, then the test split with the best epoch's weights.

        The slot may want fewer. Raises TrialPaused, TrialCancelled.
        """
        self.begin()
        while not self.is_done():
            self.one_epoch()
        self.finish()

    def begin(self) -> None:
        """Before the first epoch that is left. Raises TrialPaused, TrialCancelled."""
        self._report.progress(self.epoch, at_once=True)
        self._heed_wish()

    def is_done(self) -> bool:
        """Whether no epoch is left."""
        return self._stopped or self.epoch >= self._schedule.epochs or self._should_stop()

    def one_epoch(self) -> None:
        """The next epoch, and what the slot wants after it. Raises TrialPaused, TrialCancelled."""
        self._one_epoch()
        self._heed_wish()

    def finish(self) -> None:
        """After the last epoch: the test split with the best epoch's weights."""
        self._report.stop_if_cancelled()
        self._report.progress(self.epoch, at_once=True)
        if not self._best:
            raise OSError(errno.ENOSPC, "no checkpoint of this run could be written")
        self._test = self._measure_best()

    def _measure_best(self) -> Measures:
        """The test split by the best epoch's weights; the state is afterwards what it was."""
        last = self._model()
        self._set_model(self._best)
        found = self._measure("test")
        self._set_model(last)
        return found

    def results(self) -> dict[str, float]:
        """The numbers that boards and tables show."""
        loss = {} if self._test.loss is None else {"val_loss": self._standing.best_loss}
        best = self._judging.signed(self._standing.best_score)
        return {
            **self._test.named("test_"),
            **loss,
            f"val_{self._judging.selects}": best,
            "best_epoch": self._standing.best_epoch,
            "epochs_run": self.epoch,
            "train_seconds": self._train_seconds,
        }

    def summary(self) -> Json:
        """What else is worth keeping: above all, digests that show two runs to be the same."""
        return {
            "weights_sha256": digest_of_weights(self._model()),
            "best_weights_sha256": digest_of_weights(self._best),
            "steps_per_epoch": self._steps_per_epoch(),
            "resumed_at_epoch": self._resumed_at,
            "stopped_early": self.epoch < self._schedule.epochs,
            "stopped_by_user": self._stopped,
        }

    def _heed_wish(self) -> None:
        """Between two epochs: pause or stop, if the slot wants it and the run is not over anyway.

        A run that was paused or lost comes here before its first epoch, and may have none to do.
        """
        if self.epoch == 0 or self.is_done():
            return
        match self._report.wish(self.epoch):
            case "stop":
                self._stopped = True
                self._look_on(is_last=True)
                # As the last epoch of a run of this length it is a candidate for the best, which it
                # was not when it was saved only to go on from.
                if self._saved_at < self.epoch or self._resumed_at == self.epoch:
                    self._save(*self._validation())
            case "pause" if self._saved_at == self.epoch or self._save_to_go_on():
                self._report.progress(self.epoch, at_once=True)
                raise TrialPaused(self.epoch)

    def _validation(self) -> tuple[float, float]:
        """Score and loss after the last epoch; a run that goes on from there measures anew."""
        if self._validated is None:
            self._validated = self._judged(self._measure("validation"))
        return self._validated

    def _judged(self, found: Measures) -> tuple[float, float]:
        """Score and loss, which is the same for all where there is none."""
        score = self._judging.score(found.named())
        return score, 0.0 if found.loss is None else found.loss

    def _should_stop(self) -> bool:
        return self.epoch > 0 and self._standing.should_stop(self.epoch, self._schedule.patience)

    def _one_epoch(self) -> None:
        rates = self._rates()
        trained = self._train_epoch()
        self._report.wait_until_kept(self.epoch + self._nearly())
        self.epoch += 1
        found = self._measure("validation")
        if found.loss is not None and not math.isfinite(found.loss):
            raise Diverged(f"The validation loss is {found.loss} after epoch {self.epoch}.")
        self._validated = score, val_loss = self._judged(found)
        if not math.isfinite(score):
            selects = self._judging.selects
            raise Diverged(f"val_{selects}, which selects, is {score} after epoch {self.epoch}.")
        self._standing = self._standing.watch(self.epoch, score, val_loss)
        shown = {**trained, **found.named("val_")}
        step = self.epoch * self._steps_per_epoch()
        self._report.metrics(step, float(self.epoch), {**shown, **rates})
        told = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
        # Plain output, for people who watch the log.
        print(  # noqa: T201
            f"epoch {self.epoch}/{self._schedule.epochs}: {told}, {self._epoch_seconds[-1]:.2f} s",
            flush=True,
        )
        self._look_on(self.is_done())
        if self.is_done() or self.epoch % self._schedule.checkpoint_every_epochs == 0:
            self._save(score, val_loss)
        self._report.progress(self.epoch)

    def _took(self, seconds: float) -> None:
        """The epoch's training took so long."""
        self._epoch_seconds.append(seconds)
        self._train_seconds += seconds

    def _save(self, score: float, val_loss: float) -> None:
        """A checkpoint where the plan wants one; its epoch may be the best."""
        before, best = self._standing, self._best
        self._standing = before.offer(self.epoch, score, val_loss)
        if self._standing.best_epoch == self.epoch:
            self._best = self._model()
        if not self._write(score):
            self._standing, self._best = before, best

    def _save_to_go_on(self) -> bool:
        """A checkpoint where the plan wants none; False when the disk is full.

        It must not compete for the best: then a run would end otherwise for having been paused.
        """
        return self._write(self._validation()[0])

    def _write(self, score: float) -> bool:
        checkpoint = Checkpoint(
            epoch=self.epoch,
            train_seconds=self._train_seconds,
            standing=self._standing,
            model=self._model(),
            optimizer=self._optimizer(),
            best=self._best,
            layers=self._layers(),
            names=self._names(),
        )
        try:
            written = checkpoints.save(self._scratch, checkpoint)
        except OSError as error:
            if error.errno not in DISK_FULL or self._disk_was_full:
                raise
            # The checkpoint before is still good; the disk may have room again by the next.
            self._disk_was_full = True
            sys.stderr.write(f"no checkpoint of epoch {self.epoch}: {error}\n")
            return False
        self._saved_at = self.epoch
        is_best = self._standing.best_epoch == self.epoch
        self._report.checkpoint(written, self.epoch, self._judging.signed(score), is_best)
        return True
