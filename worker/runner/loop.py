"""The training loop: epochs, validation, checkpoints, and the test split at the end."""

from __future__ import annotations

import errno
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.runner import checkpoints, data
from worker.runner.checkpoints import Checkpoint
from worker.runner.network import Network, digest_of_weights
from worker.runner.reasons import DISK_FULL, Diverged
from worker.runner.report import Report, TrialPaused
from worker.runner.resident import ResidentSplits
from worker.runner.standing import Standing
from worker.runner.step_points import StepPoints
from worker.wire_types import Json

CHUNK_S = 0.2
"""Seconds between two cancel points within an epoch, about."""


@dataclass(frozen=True)
class Plan:
    """The part of a resolved training spec that the loop reads."""

    optimizer: str
    learning_rate: float
    learning_rate_decay: float
    batch_size: int
    epochs: int
    seed: int
    patience: int | None
    checkpoint_every_epochs: int
    engine: str

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Plan:
        """From a spec in which every default is filled in."""
        return cls(
            optimizer=spec["optimizer"],
            learning_rate=float(spec["learning_rate"]),
            learning_rate_decay=float(spec["learning_rate_decay"]),
            batch_size=spec["batch_size"],
            epochs=spec["epochs"],
            seed=spec["seed"],
            patience=spec.get("early_stopping_patience"),
            checkpoint_every_epochs=spec["checkpoint_every_epochs"],
            # Specs that were stored before there was a choice.
            engine=spec.get("engine", "loop"),
        )

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0."""
        return self.learning_rate * self.learning_rate_decay**epoch


class Loop:
    """The state of a run between two epochs, and the loop over them."""

    def __init__(
        self, plan: Plan, network: Network, splits: ResidentSplits, report: Report, scratch: Path
    ) -> None:
        self._plan, self._network, self._splits = plan, network, splits
        self._report, self._scratch = report, scratch
        self._steps = math.ceil(splits.training.count / plan.batch_size)
        self._points = StepPoints(self._steps, plan.epochs)
        self.epoch = 0
        """Whole epochs done."""
        self._standing = Standing()
        self._best: checkpoints.Arrays = []
        self._train_seconds = 0.0
        self._epoch_seconds: list[float] = []
        self._resumed_at = 0
        self._saved_at = 0
        # Steps at once. The first traces the model, and tells nothing of how long the others take.
        self._chunk = self._steps if network.whole_epochs else 1
        self._stopped = False
        self._validated: tuple[float, float] | None = None
        self._disk_was_full = False
        self._test: tuple[float, dict[str, float]] = (math.nan, {})

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Put everything back as it was after `checkpoint.epoch`. Raises CheckpointBroken."""
        self._network.set_weights(checkpoint.model)
        self._network.set_optimizer_state(checkpoint.optimizer)
        self.epoch = self._resumed_at = self._saved_at = checkpoint.epoch
        self._standing, self._best = checkpoint.standing, checkpoint.best
        self._train_seconds = checkpoint.train_seconds

    def train(self) -> None:
        """Every epoch that is left, then the test split with the best epoch's weights.

        The slot may want fewer. Raises TrialPaused, TrialCancelled.
        """
        self._report.progress(self.epoch, at_once=True)
        self._heed_wish()
        while not self._is_done():
            self._one_epoch()
            self._heed_wish()
        self._report.stop_if_cancelled()
        self._report.progress(self.epoch, at_once=True)
        if not self._best:
            raise OSError(errno.ENOSPC, "no checkpoint of this run could be written")
        last = self._network.weights()
        self._network.set_weights(self._best)
        self._test = self._network.measure(self._splits.test)
        self._network.set_weights(last)

    def results(self) -> dict[str, float]:
        """The numbers that boards and tables show."""
        loss, metrics = self._test
        objective = self._network.objective
        return {
            **{f"test_{name}": value for name, value in metrics.items()},
            "test_loss": loss,
            "val_loss": self._standing.best_loss,
            f"val_{objective.judging.selects}": objective.signed(self._standing.best_score),
            "best_epoch": self._standing.best_epoch,
            "epochs_run": self.epoch,
            "train_seconds": self._train_seconds,
            # Nothing was measured when the last epoch was done before the interruption.
            **({"images_per_second": self._images_per_second()} if self._epoch_seconds else {}),
        }

    def summary(self) -> Json:
        """What else is worth keeping: above all, digests that show two runs to be the same."""
        return {
            "weights_sha256": digest_of_weights(self._network.weights()),
            "best_weights_sha256": digest_of_weights(self._best),
            "parameter_count": self._network.parameter_count(),
            "steps_per_epoch": self._steps,
            "resumed_at_epoch": self._resumed_at,
            "stopped_early": self.epoch < self._plan.epochs,
            "stopped_by_user": self._stopped,
        }

    def _is_done(self) -> bool:
        return self._stopped or self.epoch >= self._plan.epochs or self._should_stop()

    def _heed_wish(self) -> None:
        """Between two epochs: pause or stop, if the slot wants it and the run is not over anyway.

        A run that was paused or lost comes here before its first epoch, and may have none to do.
        """
        if self.epoch == 0 or self._is_done():
            return
        match self._report.wish:
            case "stop":
                self._stopped = True
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
            loss, metrics = self._network.measure(self._splits.validation)
            self._validated = (self._network.objective.score(loss, metrics), loss)
        return self._validated

    def _should_stop(self) -> bool:
        return self.epoch > 0 and self._standing.should_stop(self.epoch, self._plan.patience)

    def _one_epoch(self) -> None:
        rate = self._plan.rate(self.epoch)
        self._network.set_learning_rate(rate)
        loss, metrics = self._train_epoch()
        self._report.wait_until_kept(self.epoch + 1 - 1 / self._steps)
        self.epoch += 1
        val_loss, val_metrics = self._network.measure(self._splits.validation)
        if not math.isfinite(val_loss):
            raise Diverged(f"The validation loss is {val_loss} after epoch {self.epoch}.")
        score = self._network.objective.score(val_loss, val_metrics)
        if not math.isfinite(score):
            selects = self._network.objective.judging.selects
            raise Diverged(f"val_{selects}, which selects, is {score} after epoch {self.epoch}.")
        self._validated = (score, val_loss)
        self._standing = self._standing.watch(self.epoch, score, val_loss)
        shown = {
            "loss": loss,
            **metrics,
            "val_loss": val_loss,
            **{f"val_{name}": value for name, value in val_metrics.items()},
        }
        self._report.metrics(
            self.epoch * self._steps, float(self.epoch), {**shown, "learning_rate": rate}
        )
        told = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
        # Plain output, for people who watch the log.
        print(  # noqa: T201
            f"epoch {self.epoch}/{self._plan.epochs}: {told}, {self._epoch_seconds[-1]:.2f} s",
            flush=True,
        )
        if self._is_done() or self.epoch % self._plan.checkpoint_every_epochs == 0:
            self._save(score, val_loss)
        self._report.progress(self.epoch)

    def _train_epoch(self) -> tuple[float, dict[str, float]]:
        """Mean loss and metrics over the epoch, in chunks that leave room for a cancel."""
        examples = self._splits.training.count
        order = data.permutation(examples, self._plan.seed, self.epoch)
        losses = np.empty(self._steps, np.float32)
        sums = np.zeros(len(self._network.objective.names))
        done, chunk = 0, self._chunk
        self._points.begin()
        began = time.monotonic()
        while done < self._steps:
            chunk_began = time.monotonic()
            count = min(chunk, self._steps - done)
            new_losses, new_sums = self._network.train_steps(
                self._splits.training, order, done, count, self._report.stop_if_cancelled
            )
            losses[done : done + count] = new_losses
            sums += new_sums.sum(axis=0)
            done += count
            if not np.isfinite(new_losses).all():
                step = self.epoch * self._steps + done - count + _first_bad(new_losses)
                raise Diverged(
                    f"The loss is {new_losses[_first_bad(new_losses)]} at step {step + 1}; "
                    "a lower learning rate may help."
                )
            self._report_steps(losses[:done])
            seconds = time.monotonic() - chunk_began
            chunk = max(1, min(4 * chunk, int(CHUNK_S * count / max(seconds, 1e-6))))
        self._chunk = self._steps if self._network.whole_epochs else chunk
        self._epoch_seconds.append(time.monotonic() - began)
        self._train_seconds += self._epoch_seconds[-1]
        return float(losses.mean(dtype=np.float64)), self._network.means(sums, examples)

    def _report_steps(self, losses: NDArray[np.float32]) -> None:
        if self._network.whole_epochs:
            return
        for end, loss in self._points.complete(losses):
            step = self.epoch * self._steps + end
            self._report.metrics(step, self.epoch + end / self._steps, {"step_loss": loss})
        if len(losses) < self._steps:
            self._report.progress(self.epoch + len(losses) / self._steps)

    def _save(self, score: float, val_loss: float) -> None:
        """A checkpoint where the plan wants one; its epoch may be the best."""
        before, best = self._standing, self._best
        self._standing = before.offer(self.epoch, score, val_loss)
        if self._standing.best_epoch == self.epoch:
            self._best = self._network.weights()
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
            model=self._network.weights(),
            optimizer=self._network.optimizer_state(),
            best=self._best,
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
        value = self._network.objective.signed(score)
        self._report.checkpoint(written, self.epoch, value, is_best)
        return True

    def _images_per_second(self) -> float:
        # The first epoch of an attempt holds the time that tracing took.
        seconds = self._epoch_seconds[1:] or self._epoch_seconds
        return self._splits.training.count * len(seconds) / max(sum(seconds), 1e-9)


def _first_bad(losses: NDArray[np.float32]) -> int:
    return int(np.argmin(np.isfinite(losses)))
