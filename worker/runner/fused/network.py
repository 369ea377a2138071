"""Several networks of one architecture as one program: what `Network` is for a single one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labpool.sdk import Unsuitable
from worker.runner import backend
from worker.runner.checkpoints import Arrays
from worker.runner.fused.fitness import difference, why_not
from worker.runner.fused.layers import own_numbers
from worker.runner.fused.program import Program
from worker.runner.fused.stacks import Stack
from worker.runner.network import CLASS_NUMBERS, MEASURE_AT_ONCE, arrays_of
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.reasons import CheckpointBroken
from worker.runner.resident import Resident

State = tuple[Arrays, Arrays]
"""Variables of a model and of its optimizer, as `Network.weights` and `optimizer_state` give."""


class FusedNetwork:
    """`members` networks on one device, each with weights, rate and order of its own.

    All have made the same number of steps. What a member computes does not depend on what is in
    the others; its last bits may depend on how many there are.
    """

    def __init__(
        self,
        model: keras.Model,
        members: int,
        optimizer: str,
        batch_size: int,
        device: backend.Device,
        objective: Objective = CLASSIFICATION,
        target: tf.TensorSpec = CLASS_NUMBERS,
    ) -> None:
        """`model` says what a member is and lends its layers; its own weights are nobody's.

        Every member is to be `put` before the first step. Raises Unsuitable with `why_not`.
        """
        if (reason := why_not(model, optimizer, objective)) is not None:
            raise Unsuitable(reason)
        self.model, self.members, self.objective = model, members, objective
        self._made_of = (optimizer, batch_size, device, objective, target)
        self._device = device
        with backend.on(device):
            self._program = Program(model, members, optimizer, batch_size, objective, target)
        self.take_settings(dict.fromkeys(range(members), model))
        self.untrained: Arrays = arrays_of(self._program.optimizer.variables)
        """The optimizer's state of a member that begins."""
        self._read: dict[int, NDArray[Any]] = {}
        self._settled = True

    def take_settings(self, models: Mapping[int, keras.Model]) -> None:
        """Give members the dropout rates and noise of these models.

        Until then they are those of the group's own model. Raises Unsuitable when one differs from
        it in anything else that shows after its weights are drawn.
        """
        for model in models.values():
            if (reason := difference(self.model, model)) is not None:
                raise Unsuitable(reason)
        found = {member: own_numbers(model) for member, model in models.items()}
        for at, (layer, _) in enumerate(own_numbers(self.model)):
            with backend.on(self._device):
                self._program.own[id(layer)].put({
                    member: np.array(own[at][1]) for member, own in found.items()
                })  # fmt: skip

    def put(self, states: Mapping[int, State]) -> None:
        """Give these members their weights and the state of their optimizers.

        Raises CheckpointBroken when they do not fit, or have made another number of steps than the
        members that stay.
        """
        self._settle()
        for weights, state in states.values():
            self.check(weights, arrays_of(self.model.variables), "model")
            self.check(state, self.untrained, "optimizer")
        steps = {int(state[self._place("iterations")]) for _, state in states.values()}
        if len(states) < self.members:
            steps.add(int(self._program.steps.numpy()))
        if len(steps) != 1:
            raise CheckpointBroken(
                f"its members have made {sorted(steps)} steps; only trials that stand at the same "
                "epoch can be trained together."
            )
        with backend.on(self._device):
            for number, stack in enumerate(self._program.stacks.values()):
                stack.put({member: state[0][number] for member, state in states.items()})
            for number, slot in self._program.slots():
                slot.put({member: state[1][number] for member, state in states.items()})
            rate = self._place("learning_rate")
            self._program.rates.put({m: state[1][rate] for m, state in states.items()})
            self._program.steps.assign(steps.pop())
        self._read.clear()

    def weights(self, member: int) -> Arrays:
        """What `Network.weights` would give of this member alone."""
        return [self._of(stack, member) for stack in self._program.stacks.values()]

    def optimizer_state(self, member: int) -> Arrays:
        """What `Network.optimizer_state` would give of this member alone."""
        slots = dict(self._program.slots())
        found: Arrays = []
        for number, place in enumerate(self._program.places):
            if number in slots:
                found.append(self._of(slots[number], member))
            elif place == "learning_rate":
                found.append(self._of(self._program.rates, member))
            else:
                found.append(self._program.steps.numpy().astype(self.untrained[number].dtype))
        return found

    def clear(self, alive: Sequence[bool]) -> None:
        """Let the others be nothing but zeros that do not move: they have ended, or diverged."""
        self._settle()
        rates = np.where(alive, self._program.rates.variable.numpy(), 0)
        with backend.on(self._device):
            self._program.clear(tf.constant(list(alive)))
        self._program.rates.variable.assign(rates)
        self._read.clear()

    def only(self, members: Sequence[int]) -> FusedNetwork:
        """These alone as a smaller group, in this order. It is traced anew."""
        optimizer, batch_size, device, objective, target = self._made_of
        smaller = FusedNetwork(
            self.model, len(members), optimizer, batch_size, device, objective, target
        )
        states = [(self.weights(member), self.optimizer_state(member)) for member in members]
        smaller.put(dict(enumerate(states)))
        for key, own in self._program.own.items():
            held = own.variable.numpy()
            smaller._program.own[key].put({
                place: own.of(held, member) for place, member in enumerate(members)
            })  # fmt: skip
        return smaller

    def set_learning_rates(self, rates: Sequence[float] | NDArray[Any]) -> None:
        """Each member's rate from now on; to be called before each epoch."""
        self._settle()
        self._program.rates.variable.assign(
            np.asarray(rates, self._program.rates.variable.dtype.as_numpy_dtype)
        )
        self._read.clear()

    def train_steps(
        self,
        training: Resident,
        orders: NDArray[np.int64],
        first: int,
        count: int,
        cancel_point: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Run steps first..first+count-1 of an epoch; member m's examples come in `orders[m]`.

        Returns the mean losses [count, members] and the sums of the metrics
        [count, members, metrics]. `cancel_point` may be called in between.
        """
        cancel_point()
        self._settled = False
        self._read.clear()
        with backend.on(self._device):
            losses, sums = self._program.train(
                training.x,
                training.y,
                tf.constant(orders),
                tf.constant(first, tf.int32),
                tf.constant(count, tf.int32),
            )
        return losses.numpy(), sums.numpy()

    def measure(
        self, split: Resident, look: Callable[[Any], None] = lambda _: None
    ) -> list[tuple[float, dict[str, float]]]:
        """For each member the mean loss and means of the metrics over a split, without dropout.

        `look` is shown the outputs [members, part, ...] of one part of the split after the other.
        """
        losses = np.zeros(self.members)
        sums = np.zeros((self.members, len(self.objective.names)))
        with backend.on(self._device):
            for x, y in split.parts(MEASURE_AT_ONCE):
                more, values, outputs = self._program.measure(x, y)
                look(outputs)
                losses += more.numpy()
                sums += values.numpy()
        return [
            (float(loss) / split.count, self.means(of_one, split.count))
            for loss, of_one in zip(losses, sums, strict=True)
        ]

    def means(self, sums: NDArray[np.float64], count: int) -> dict[str, float]:
        """Means by name of one member's metrics, whose `sums` [metrics] are over `count`."""
        return dict(zip(self.objective.names, (sums / count).tolist(), strict=True))

    @staticmethod
    def check(theirs: Arrays, ours: Arrays, what: str) -> None:
        """Refuse arrays that are not like the model's or the optimizer's. CheckpointBroken."""
        found = [(array.shape, str(array.dtype)) for array in theirs]
        wanted = [(array.shape, str(array.dtype)) for array in ours]
        if found != wanted:
            raise CheckpointBroken(f"it holds {found}; the {what} has {wanted}.")

    def _settle(self) -> None:
        # Between two epochs alone, so that how often somebody looks changes no bit.
        if not self._settled:
            self._program.settle()
            self._settled = True
            self._read.clear()

    def _of(self, stack: Stack, member: int) -> NDArray[Any]:
        self._settle()
        key = id(stack)
        if key not in self._read:
            self._read[key] = stack.variable.numpy()
        return stack.of(self._read[key], member)

    def _place(self, name: str) -> int:
        return self._program.places.index(name)
