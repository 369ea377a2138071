"""The training loop of a network: its steps, in chunks that leave room for a cancel."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from worker.runner import data
from worker.runner.checkpoints import Arrays
from worker.runner.epochs import EpochLoop, Measures, Schedule
from worker.runner.network import Network
from worker.runner.onlooker import Onlooker
from worker.runner.reasons import Diverged
from worker.runner.report import Report
from worker.runner.resident import ResidentSplits
from worker.runner.step_points import StepPoints
from worker.wire_types import Json

CHUNK_S = 0.2
"""Seconds between two cancel points within an epoch, about."""


@dataclass(frozen=True)
class Plan(Schedule):
    """The part of a resolved training spec that the loop reads."""

    optimizer: str
    learning_rate: float
    learning_rate_decay: float
    batch_size: int
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


class Loop(EpochLoop):
    """A network's run."""

    def __init__(
        self, plan: Plan, network: Network, splits: ResidentSplits, report: Report, scratch: Path,
        onlooker: Onlooker,
    ) -> None:  # fmt: skip
        super().__init__(plan, network.objective.judging, report, scratch)
        self._plan, self._network, self._splits = plan, network, splits
        self._onlooker = onlooker
        self._steps = math.ceil(splits.training.count / plan.batch_size)
        self._points = StepPoints(self._steps, plan.epochs)
        # Steps at once. The first traces the model, and tells nothing of how long the others take.
        self._chunk = self._steps if network.whole_epochs else 1

    def results(self) -> dict[str, float]:
        """The numbers that boards and tables show."""
        # Nothing was measured when the last epoch was done before the interruption.
        speed = {"images_per_second": self._images_per_second()} if self._epoch_seconds else {}
        return {**super().results(), **speed}

    def summary(self) -> Json:
        """The same as of any run, and how large the network is."""
        return {**super().summary(), "parameter_count": self._network.parameter_count()}

    def _model(self) -> Arrays:
        return self._network.weights()

    def _set_model(self, arrays: Arrays) -> None:
        self._network.set_weights(arrays)

    def _layers(self) -> dict[str, list[int]]:
        return self._network.layers()

    def _optimizer(self) -> Arrays:
        return self._network.optimizer_state()

    def _set_optimizer(self, arrays: Arrays) -> None:
        self._network.set_optimizer_state(arrays)

    def _steps_per_epoch(self) -> int:
        return self._steps

    def _rates(self) -> dict[str, float]:
        return {"learning_rate": self._plan.rate(self.epoch)}

    def _look_on(self, is_last: bool) -> None:
        self._onlooker.after_epoch(self.epoch, is_last)

    def _measure(self, split: Literal["validation", "test"]) -> Measures:
        if split == "validation":
            return Measures(*self._network.measure(self._splits.validation))
        return Measures(*self._network.measure(self._splits.test, self._onlooker.see_test))

    def _train_epoch(self) -> dict[str, float]:
        """Mean loss and metrics over the epoch, in chunks that leave room for a cancel."""
        self._network.set_learning_rate(self._plan.rate(self.epoch))
        examples = self._splits.training.count
        order = self._order()
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
                raise self._diverged(new_losses, done - count)
            self._report_steps(losses[:done])
            seconds = time.monotonic() - chunk_began
            chunk = max(1, min(4 * chunk, int(CHUNK_S * count / max(seconds, 1e-6))))
        self._chunk = self._steps if self._network.whole_epochs else chunk
        self._took(time.monotonic() - began)
        mean = float(losses.mean(dtype=np.float64))
        return {"loss": mean, **self._network.means(sums, examples)}

    def _order(self) -> NDArray[np.int64]:
        """The examples of epoch `self.epoch`, as they come."""
        return data.permutation(self._splits.training.count, self._plan.seed, self.epoch)

    def _diverged(self, losses: NDArray[np.float32], first: int) -> Diverged:
        """Where, as exactly as is known; `losses` are of the steps from `first` on."""
        bad = int(np.argmin(np.isfinite(losses)))
        where = f"at step {self.epoch * self._steps + first + bad + 1}"
        if self._network.whole_epochs:
            where = f"in epoch {self.epoch + 1}, whose steps fit keeps to itself"
        return Diverged(f"The loss is {losses[bad]} {where}; a lower learning rate may help.")

    def _report_steps(self, losses: NDArray[np.float32]) -> None:
        if self._network.whole_epochs:
            return
        ends, means = self._points.complete(losses)
        if ends.size:
            steps = (self.epoch * self._steps + ends).tolist()
            epochs = (self.epoch + ends / self._steps).tolist()
            self._report.points(steps, epochs, {"step_loss": means.tolist()})
        if len(losses) < self._steps:
            self._report.progress(self.epoch + len(losses) / self._steps)

    def _images_per_second(self) -> float:
        # The first epoch of an attempt holds the time that tracing took.
        seconds = self._epoch_seconds[1:] or self._epoch_seconds
        return self._splits.training.count * len(seconds) / max(sum(seconds), 1e-9)
