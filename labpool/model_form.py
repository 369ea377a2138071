"""What the TOML of a model says of its input, its training and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LOSS = "loss"
"""The metric that every model has: what its training makes small."""

Optimizer = Literal["sgd", "momentum", "rmsprop", "adam", "adadelta"]


class ModelInput(BaseModel):
    """What a model takes, or none. ``size`` is (height, width) that labpool resizes images to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["image", "vector", "any", "none"]
    size: tuple[int, int] | None = None


class TrainingDefaults(BaseModel):
    """The hyperparameters that a training spec may leave out."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    optimizer: Optimizer = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    learning_rate_decay: float = Field(default=1.0, gt=0, le=1)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=10, ge=1)


class Metric(BaseModel):
    """A number that a model is judged by, a mean over examples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direction: Literal["maximize", "minimize"]
    meaning: str


class Judging(BaseModel):
    """A model's metrics by name; `loss` is always there too. ``selects`` names the one that
    chooses the best epoch and that early stopping watches, on the validation split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metrics: dict[str, Metric] = {
        "accuracy": Metric(direction="maximize", meaning="Share of the examples named right.")
    }
    selects: str = "accuracy"

    @model_validator(mode="after")
    def _selects_what_there_is(self) -> Self:
        if self.selects not in (LOSS, *self.metrics):
            known = ", ".join([LOSS, *self.metrics])
            raise ValueError(f"selects: {self.selects!r} is none of {known}.")
        if LOSS in self.metrics:
            raise ValueError("metrics: the loss is there anyway; leave it out.")
        return self

    @property
    def is_maximized(self) -> bool:
        """Whether more of what selects is better."""
        chosen = self.metrics.get(self.selects)
        return chosen is not None and chosen.direction == "maximize"

    def score(self, measures: Mapping[str, float]) -> float:
        """What the best epoch has most of, from the loss and the metrics by name."""
        return self.signed(measures[self.selects])

    def signed(self, number: float) -> float:
        """The score of a selecting metric's value, or the value of a score: more is better."""
        return number if self.is_maximized else -number


class Pictures(BaseModel):
    """When a model that offers `samples` draws: after the first epoch, every so many, the last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every_epochs: int = Field(default=5, ge=1)
