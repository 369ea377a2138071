"""One member of a group, as the ordinary loop sees a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from worker.runner.checkpoints import Arrays
from worker.runner.epochs import Measures
from worker.runner.fused.network import FusedNetwork
from worker.runner.loop import Loop
from worker.runner.network import arrays_of
from worker.runner.resident import Resident

Found = tuple[float, dict[str, float], Sequence[Any]]
"""Mean loss, means of metrics by name, and the outputs [members, part, ...] of one part after the
other."""


class Member:
    """What the loop asks of a `Network`, answered from what the whole group has done.

    The group trains an epoch for all, and measures; then each member's loop takes its part of it.
    Weights that a loop puts back are held here, for whoever leads the group to take.
    """

    whole_epochs: ClassVar[bool] = False

    def __init__(self, group: FusedNetwork, place: int) -> None:
        """`place` is which of the group's members it is."""
        self.group, self.place = group, place
        self.held: Arrays | None = None
        """Weights that were put back, and are not the group's."""
        self.held_optimizer: Arrays | None = None
        self.losses: NDArray[np.float32] = np.zeros(0, np.float32)
        self.sums: NDArray[np.float64] = np.zeros((0, 0))
        """Of the epoch that the group has trained: [steps], [steps, metrics]."""
        self._found: dict[int, Found] = {}

    @property
    def model(self) -> Any:
        """The group's, which all members' are like."""
        return self.group.model

    @property
    def objective(self) -> Any:
        """The group's."""
        return self.group.objective

    def moved(self, group: FusedNetwork, place: int) -> None:
        """It goes on as this member of another group."""
        self.group, self.place = group, place
        self._found.clear()

    def trained(self, losses: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
        """The group has trained an epoch, with these of each step."""
        self.losses, self.sums = losses, sums
        self._found.clear()

    def found(self, split: Resident, found: Found) -> None:
        """The group has measured this member on a split."""
        self._found[id(split)] = found

    def found_on(self, split: Resident) -> Found | None:
        """What the group has found on a split since it last trained."""
        return self._found.get(id(split))

    def train_steps(
        self,
        training: Resident,
        order: NDArray[np.int64],
        first: int,
        count: int,
        cancel_point: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """These steps of the epoch that the group has trained already."""
        del training, order
        cancel_point()
        return self.losses[first : first + count], self.sums[first : first + count]

    def measure(
        self, split: Resident, look: Callable[[Any], None] | None = None
    ) -> tuple[float, dict[str, float]]:
        """What the group has found for this member; worked out now if it has not."""
        if id(split) not in self._found:
            measured_together([self], split)
        loss, metrics, outputs = self._found[id(split)]
        if look is not None:
            for part in outputs:
                look(part[self.place])
        return loss, metrics

    def means(self, sums: NDArray[np.float64], count: int) -> dict[str, float]:
        """As a network has them."""
        return self.group.means(sums, count)

    def parameter_count(self) -> int:
        """Numbers that training changes."""
        return sum(int(np.prod(one.shape)) for one in self.model.trainable_variables)

    def layers(self) -> dict[str, list[int]]:
        """For each layer with weights, by name, where these stand in `weights`."""
        places = {id(variable): number for number, variable in enumerate(self.model.variables)}
        return {
            layer.name: [places[id(variable)] for variable in layer.weights]
            for layer in self.model.layers
            if layer.weights
        }

    def set_learning_rate(self, learning_rate: float) -> None:
        """Whoever leads the group has set it, before the epoch."""

    def weights(self) -> Arrays:
        """Every variable of the model."""
        return self.group.weights(self.place) if self.held is None else self.held

    def optimizer_state(self) -> Arrays:
        """Every variable of the optimizer."""
        if self.held_optimizer is not None:
            return self.held_optimizer
        return self.group.optimizer_state(self.place)

    def set_weights(self, arrays: Arrays) -> None:
        """Hold them. Raises CheckpointBroken when they do not fit."""
        self.group.check(arrays, arrays_of(self.model.variables), "model")
        self.held = arrays
        self._found.clear()

    def set_optimizer_state(self, arrays: Arrays) -> None:
        """Hold it. Raises CheckpointBroken when it does not fit."""
        self.group.check(arrays, self.group.untrained, "optimizer")
        self.held_optimizer = arrays


class MemberLoop(Loop):
    """A member's run: the ordinary loop, charged with its share of the group's time."""

    share_s = 0.0
    """Seconds of the group's last epoch, over the members that had a part in it."""
    place = 0
    """Which of the members it was when `tested` was found."""
    tested: Found | None = None
    """What the group has found with this member's best weights on the test split."""

    @property
    def best(self) -> Arrays:
        """The weights of the best epoch; empty while there is none."""
        return self._best

    def _took(self, seconds: float) -> None:
        super()._took(seconds + self.share_s)

    def _order(self) -> NDArray[np.int64]:
        # Whoever leads the group has drawn it, and trained by it.
        return np.zeros(0, np.int64)

    def _measure_best(self) -> Measures:
        if self.tested is None:
            return super()._measure_best()
        loss, metrics, outputs = self.tested
        for part in outputs:
            self._onlooker.see_test(part[self.place])
        return Measures(loss, metrics)


def measured_together(members: Sequence[Member], split: Resident) -> None:
    """Measure a split once for these members of one group, each with the weights it holds."""
    group = members[0].group
    aside = {one.place: _state(one) for one in members if one.held is not None}
    before = {place: (group.weights(place), group.optimizer_state(place)) for place in aside}
    if aside:
        group.put(aside)
    outputs: list[Any] = []
    try:
        found = group.measure(split, outputs.append)
    finally:
        if before:
            group.put(before)
    for one in members:
        one.found(split, (*found[one.place], outputs))


def _state(member: Member) -> tuple[Arrays, Arrays]:
    # Only the weights are looked at; the optimizer's state must fit the group's.
    return member.weights(), member.group.optimizer_state(member.place)
