"""The loop over the epochs of a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from labpool.model_form import LOSS
from labpool.sdk import Epoch, Exam, Examples, State
from worker.runner.checkpoints import Arrays, Checkpoint
from worker.runner.data import Split, Splits
from worker.runner.epochs import EpochLoop, Measures, Schedule
from worker.runner.own_program import OwnProgram
from worker.runner.reasons import CheckpointBroken
from worker.runner.report import Report
from worker.wire_types import Json

MOST_OUTPUTS = 64
"""Numbers that are kept of what a program makes of its test split."""
ALMOST = 0.999
"""The largest share of an epoch that is told while it lasts."""


@dataclass(frozen=True)
class ProgramPlan(Schedule):
    """The part of a resolved training spec that a program sees; None for what it does not use."""

    optimizer: str | None
    learning_rate: float | None
    learning_rate_decay: float | None
    batch_size: int | None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> ProgramPlan:
        """From a spec in which every default is filled in."""
        return cls(
            epochs=spec["epochs"],
            seed=spec["seed"],
            patience=spec.get("early_stopping_patience"),
            checkpoint_every_epochs=spec["checkpoint_every_epochs"],
            optimizer=spec.get("optimizer"),
            learning_rate=spec.get("learning_rate"),
            learning_rate_decay=spec.get("learning_rate_decay"),
            batch_size=spec.get("batch_size"),
        )

    def rate(self, epoch: int) -> float | None:
        """The learning rate of an epoch, counted from 0."""
        if self.learning_rate is None:
            return None
        return self.learning_rate * (self.learning_rate_decay or 1.0) ** epoch

    def epoch(self, number: int, cancel_point: Callable[[float], None]) -> Epoch:
        """What the program is told of an epoch."""
        return Epoch(
            number=number,
            seed=self.seed,
            cancel_point=cancel_point,
            random=np.random.Generator(
                np.random.PCG64(np.random.SeedSequence([self.seed, number]))
            ),
            optimizer=self.optimizer,
            learning_rate=self.rate(number),
            batch_size=self.batch_size,
        )


class ProgramLoop(EpochLoop):
    """A program's run."""

    def __init__(
        self,
        plan: ProgramPlan,
        program: OwnProgram,
        splits: Splits | None,
        classes: int,
        report: Report,
        scratch: Path,
    ) -> None:
        super().__init__(plan, program.judging, report, scratch)
        self._plan, self._program, self._splits = plan, program, splits
        self._classes = classes
        self._state: State = program.begin(plan.seed, self._examples("training"))
        self._outputs: Json = {}

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Put everything back as it was after `checkpoint.epoch`. Raises CheckpointBroken."""
        if checkpoint.names != self._names():
            raise CheckpointBroken(
                f"it holds {', '.join(checkpoint.names)}; the program has "
                f"{', '.join(self._names())}."
            )
        super().go_on_from(checkpoint)

    def summary(self) -> Json:
        """The same as of any run, and the outputs for a test split of few examples."""
        return {**super().summary(), **self._outputs}

    def _names(self) -> tuple[str, ...]:
        return tuple(self._state)

    def _model(self) -> Arrays:
        return [array.copy() for array in self._state.values()]

    def _set_model(self, arrays: Arrays) -> None:
        self._state = {name: array.copy() for name, array in zip(self._state, arrays, strict=True)}

    def _steps_per_epoch(self) -> int:
        return 1

    def _nearly(self) -> float:
        return ALMOST

    def _rates(self) -> dict[str, float]:
        rate = self._plan.rate(self.epoch)
        return {} if rate is None else {"learning_rate": rate}

    def _train_epoch(self) -> dict[str, float]:
        began = time.monotonic()
        epoch = self._plan.epoch(self.epoch, self._cancel_point)
        self._cancel_point(0.0)
        self._state, metrics = self._program.advance(self._state, epoch, self._examples("training"))
        self._took(time.monotonic() - began)
        return metrics

    def _measure(self, split: Literal["validation", "test"]) -> Measures:
        examples = self._examples(split)
        found = self._program.evaluate(self._state, Exam(split, self._still_here), examples)
        if split == "test" and examples is not None:
            self._keep_outputs(examples)
        return Measures(found.pop(LOSS, None), found)

    def _keep_outputs(self, examples: Examples) -> None:
        if examples.x.size > MOST_OUTPUTS:
            return
        outputs = self._program.predict(self._state, examples.x)
        if outputs.size <= MOST_OUTPUTS:
            self._outputs = {
                "test_inputs": examples.x.tolist(),
                "test_targets": examples.y.tolist(),
                "test_outputs": outputs.tolist(),
            }

    def _cancel_point(self, done: float) -> None:
        self._report.stop_if_cancelled()
        self._report.progress(self.epoch + min(max(float(done), 0.0), ALMOST))

    def _still_here(self, done: float) -> None:
        del done  # of the judging, which is no part of an epoch
        self._report.stop_if_cancelled()
        self._report.progress(self.epoch)

    def _examples(self, name: Literal["training", "validation", "test"]) -> Examples | None:
        if self._splits is None:
            return None
        split: Split = getattr(self._splits, name)
        return Examples(split.x, split.y, self._classes)
