"""What a model that trains itself must offer; `labpool.sdk` hands it on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from labpool.sdk import Examples

State: TypeAlias = "dict[str, NDArray[Any]]"
"""Everything that a program has learned and needs to go on, by name; numbers and nothing else."""


@dataclass(frozen=True)
class Epoch:
    """The epoch that a program is to do now.

    `number` counts from 0. Of `optimizer`, `learning_rate` (with the decay taken) and `batch_size`
    those are None that `model.toml` does not name under `program.uses`.
    """

    number: int
    seed: int
    cancel_point: Callable[[float], None]
    """To be called at least every 0.2 s with the share of the epoch that is done, 0..1. What it
    raises has to go through."""
    random: np.random.Generator
    """Fresh, and made from `seed` and `number` alone."""
    optimizer: str | None = None
    learning_rate: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True)
class Exam:
    """What a program is to be judged on now; `cancel_point` as in an epoch."""

    split: Literal["validation", "test"]
    cancel_point: Callable[[float], None]


class Program(Protocol):
    """`model.py` of a model that trains itself: its TOML has a table `[program]`.

    labpool counts the epochs, keeps checkpoints, chooses the best epoch by `[judging]`, and pauses,
    resumes and ends the run. For that a program keeps nothing outside of its State, and draws
    randomness from the seed in `begin` and from `Epoch.random` alone. `data` are the examples of a
    split, x and y as the data set has them, or None where `input.kind` is "none".
    """

    def begin(self, parameters: Mapping[str, Any], seed: int, data: Examples | None) -> State:
        """The state before the first epoch; `data` is the training split. Raises Unsuitable."""
        ...

    def advance(
        self, parameters: Mapping[str, Any], state: State, epoch: Epoch, data: Examples | None
    ) -> tuple[State, Mapping[str, float]]:
        """The state after one more epoch on the training split, and what to draw as curves.

        `state` may be changed in place. NaN or infinity under the name "loss" or anywhere in the
        new state ends the run as diverged.
        """
        ...

    def evaluate(
        self, parameters: Mapping[str, Any], state: State, exam: Exam, data: Examples | None
    ) -> Mapping[str, float]:
        """At least every metric that `[judging]` names, and `loss` where the program has one."""
        ...

    def predict(
        self, parameters: Mapping[str, Any], state: State, x: NDArray[np.float32]
    ) -> NDArray[Any]:
        """The outputs [n, ...] for n inputs `x` [n, ...]. The state stays as it is."""
        ...
