"""What a sweep may say of how it searches: where trials come from, which go on, what is best."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from labpool.strict import Seed, StrictForm

MOST_TRIALS = 100_000
MOST_AT_ONCE = 128
Trials = Annotated[int, Field(ge=1, le=MOST_TRIALS)]
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=63)]
Epochs = Annotated[int, Field(ge=1, le=100_000)]


class Objective(StrictForm):
    """What makes one trial better than another."""

    metric: MetricName = Field(description="A metric of the trials, such as val_accuracy.")
    direction: Literal["maximize", "minimize"] | None = Field(
        default=None, description="Which way is better; told by the metric's name when left out."
    )


class MedianPruner(StrictForm):
    """Ends a trial whose best so far is worse than the median of the others at the same epoch."""

    method: Literal["median"]
    min_epochs: Epochs = Field(default=1, description="No trial ends before this epoch.")
    min_trials: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="How many others must have come as far before any trial ends."
    )


class AshaPruner(StrictForm):
    """Trains all a little and the better ones on: trials pause at rungs, with their checkpoints.

    Rung 0 is at ``min_epochs``, each next one at ``reduction`` times the epochs; about one in
    ``reduction`` goes on from each. The top is the base's ``epochs``.
    """

    method: Literal["asha"]
    min_epochs: Epochs = Field(default=1, description="Epochs of the first rung.")
    reduction: Annotated[int, Field(ge=2, le=16)] = Field(
        default=3, description="One in how many goes on from each rung."
    )


Pruner = Annotated[MedianPruner | AshaPruner, Field(discriminator="method")]


PRUNER_FORMS: dict[str, type[StrictForm]] = {"median": MedianPruner, "asha": AshaPruner}


class _Pruned(StrictForm):
    pruner: Pruner | None = Field(
        default=None, description="What ends or pauses trials early; all run to their end without."
    )


class GridStrategy(_Pruned):
    """Every combination of the space's values."""

    method: Literal["grid"]


class RandomStrategy(_Pruned):
    """Values drawn independently for each trial."""

    method: Literal["random"]
    trials: Trials = Field(description="How many to draw.")
    seed: Seed = Field(default=0, description="Seed of the draws.")


class QmcStrategy(_Pruned):
    """Points that fill the space more evenly than chance."""

    method: Literal["qmc"]
    trials: Trials = Field(description="How many points.")
    seed: Seed = Field(default=0, description="Seed of the sequence.")


class TpeStrategy(_Pruned):
    """Values drawn near those of the better trials: Optuna's estimator over the results so far."""

    method: Literal["tpe"]
    trials: Trials = Field(description="How many in all.")
    seed: Seed = Field(default=0, description="Seed of the draws.")
    startup_trials: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="How many must have ended before results guide the draws."
    )
    at_once: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = Field(
        default=16, description="How many wait or run at a time; fewer learn more from each other."
    )


Strategy = Annotated[
    GridStrategy | RandomStrategy | QmcStrategy | TpeStrategy, Field(discriminator="method")
]
STRATEGY_FORMS: dict[str, type[StrictForm]] = {
    "grid": GridStrategy,
    "random": RandomStrategy,
    "qmc": QmcStrategy,
    "tpe": TpeStrategy,
}
