"""A model, its optimizer and the compiled functions that train and measure it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labpool.sdk import DataShape
from worker.runner import backend, optimizers, tasks, traces
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.reasons import CheckpointBroken, EntryBroken
from worker.runner.resident import Resident

MEASURE_AT_ONCE = 512
"""Examples a call when measuring; bounds the memory that a large split takes."""
CLASS_NUMBERS: Final = tf.TensorSpec([None], tf.int64)
"""The targets of classification."""


class Network:
    """One model on one device, trained and measured by functions that are traced once.

    Training goes through `train_steps`, a compiled function that runs any number of optimizer steps
    without coming back to Python: several calls give the same bits as one. Whatever differs between
    two trials of one architecture (weights, rate, data, order) is a variable or an argument, so
    `begin_again` makes the traced functions serve the next trial, with the bits of a fresh process.
    """

    whole_epochs: ClassVar[bool] = False
    """Whether `train_steps` runs an epoch at once, and tells its mean loss for every step."""

    def __init__(
        self,
        model: keras.Model,
        optimizer: str,
        batch_size: int,
        device: backend.Device,
        objective: Objective = CLASSIFICATION,
        target: tf.TensorSpec = CLASS_NUMBERS,
    ) -> None:
        """`model` must be built; the learning rate is to be set before the first step.

        `target` says what the targets are that the objective compares with.
        """
        self.model = model
        self.objective = objective
        self.optimizer = optimizers.make(optimizer)
        self._batch_size = batch_size
        self._device = device
        with backend.on(device):
            self.optimizer.build(model.trainable_variables)
        self._untrained = self.optimizer_state()
        examples = [tf.TensorSpec([None, *model.input_shape[1:]], model.inputs[0].dtype), target]
        number = tf.TensorSpec([], tf.int32)
        order = tf.TensorSpec([None], tf.int64)
        self._train = tf.function(
            self._train_steps, input_signature=[*examples, order, number, number]
        )
        self._examples = examples
        self._measure = tf.function(self._measure_batch, input_signature=examples)
        self._is_checked = False

    def begin_again(self, fresh: keras.Model) -> None:
        """Become what a new network with the model `fresh` would be, without a new trace.

        Raises CheckpointBroken when `fresh` is of another architecture.
        """
        self.set_weights(arrays_of(fresh.variables))
        self.set_optimizer_state(self._untrained)

    def train_steps(
        self,
        training: Resident,
        order: NDArray[np.int64],
        first: int,
        count: int,
        cancel_point: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Run steps first..first+count-1 of an epoch whose examples come in `order` [n].

        `cancel_point` may be called in between, and what it raises goes through.

        Returns each step's mean loss [count] and the sums of its metrics [count, metrics].
        Raises EntryBroken when the model depends on what no checkpoint holds.
        """
        cancel_point()
        with backend.on(self._device):
            self._check_once(training, self._train)
            losses, sums = self._train(
                training.x,
                training.y,
                tf.constant(order),
                tf.constant(first, tf.int32),
                tf.constant(count, tf.int32),
            )
        return losses.numpy(), sums.numpy()

    @property
    def bytes(self) -> int:
        """What its variables take, and the copy of the optimizer's that `begin_again` needs."""
        total = sum(array.nbytes for array in self._untrained)
        for variable in self._variables():
            total += int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize
        return total

    def _check_once(self, training: Resident, traced: Any) -> None:
        if self._is_checked:
            return
        self.objective.check(self.model, training.x[:1], training.y[:1])
        traces.check(traced.get_concrete_function(), self._variables())
        self._is_checked = True

    def gradients(self, x: tf.Tensor, y: tf.Tensor) -> Any:
        """A batch's mean loss [], outputs [batch, ...], and gradients of the trainable variables.

        To be called while tracing; a model's own step goes before labpool's.
        """
        model = self.model
        if self.objective.gradients is not None:
            return self.objective.gradients(model, x, y)
        with tf.GradientTape() as tape:
            outputs = model(x, training=True)
            loss = tf.reduce_mean(self.objective.loss(y, outputs))
            # What layers add of themselves: weight penalties and the like.
            total = tf.add_n([loss, *model.losses])
        return total, outputs, tape.gradient(total, model.trainable_variables)

    def measure(
        self, split: Resident, look: Callable[[Any], None] = lambda _: None
    ) -> tuple[float, dict[str, float]]:
        """Mean loss and means of the metrics by name over a split, without dropout.

        `look` is shown the outputs [part, ...] of one part of the split after the other.
        """
        loss_sum, sums = 0.0, np.zeros(len(self.objective.names))
        with backend.on(self._device):
            for x, y in split.parts(MEASURE_AT_ONCE):
                losses, values, outputs = self._measure(x, y)
                look(outputs)
                loss_sum += float(losses.numpy().sum(dtype=np.float64))
                sums += values.numpy().sum(axis=0)
        return loss_sum / split.count, self.means(sums, split.count)

    def means(self, sums: NDArray[np.float64], count: int) -> dict[str, float]:
        """Means by name of metrics whose `sums` [metrics] are over `count` examples."""
        return dict(zip(self.objective.names, (sums / count).tolist(), strict=True))

    def parameter_count(self) -> int:
        """Numbers that training changes."""
        return sum(int(np.prod(variable.shape)) for variable in self.model.trainable_variables)

    def layers(self) -> dict[str, list[int]]:
        """For each layer with weights, by name, where these stand in `weights`."""
        places = {id(variable): number for number, variable in enumerate(self.model.variables)}
        return {
            layer.name: [places[id(variable)] for variable in layer.weights]
            for layer in self.model.layers
            if layer.weights
        }

    def set_learning_rate(self, learning_rate: float) -> None:
        """The rate of every step from now on."""
        self.optimizer.learning_rate = learning_rate

    def weights(self) -> list[NDArray[Any]]:
        """Every variable of the model: weights, moving averages, the states of its dropout."""
        return arrays_of(self.model.variables)

    def optimizer_state(self) -> list[NDArray[Any]]:
        """Every variable of the optimizer, its count of steps included."""
        return arrays_of(self.optimizer.variables)

    def set_weights(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Put back what `weights` gave. Raises CheckpointBroken when it does not fit."""
        assign(self.model.variables, arrays)

    def set_optimizer_state(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Put back what `optimizer_state` gave. Raises CheckpointBroken when it does not fit."""
        assign(self.optimizer.variables, arrays)

    def _variables(self) -> list[Any]:
        return [*self.model.variables, *self.optimizer.variables]

    def _train_steps(
        self, all_x: tf.Tensor, all_y: tf.Tensor, order: tf.Tensor, first: tf.Tensor,
        count: tf.Tensor,
    ) -> Any:  # fmt: skip
        losses = tf.TensorArray(tf.float32, count)
        sums = tf.TensorArray(tf.float64, count)
        for step in tf.range(count):
            start = (first + step) * self._batch_size
            # A slice past the end is cut off: the last batch is as small as it is.
            chosen = order[start : start + self._batch_size]
            x, y = tf.gather(all_x, chosen), tf.gather(all_y, chosen)
            total, outputs, gradients = self.gradients(x, y)
            self.optimizer.apply(gradients, self.model.trainable_variables)
            losses = losses.write(step, tf.cast(total, tf.float32))
            sums = sums.write(step, tf.reduce_sum(self.objective.values(y, outputs), axis=0))
        return losses.stack(), sums.stack()

    def _measure_batch(self, x: tf.Tensor, y: tf.Tensor) -> Any:
        outputs = self.model(x, training=False)
        return self.objective.loss(y, outputs), self.objective.values(y, outputs), outputs


def check_model(model: Any, data: DataShape, objective: Objective = CLASSIFICATION) -> None:
    """Refuse what cannot be trained on `data` for `objective`. Raises EntryBroken."""
    if not isinstance(model, keras.Model):
        raise EntryBroken(f"build gave a {type(model).__name__}, not a keras.Model.")
    if not model.built:
        model.build((None, *data.shape))
    # A classifier with a loss of its own may give what that takes.
    if objective.is_cross_entropy or data.task != "classification":
        tasks.check_outputs(tuple(model.output_shape), data)


def arrays_of(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """Copies of Keras variables, that later steps leave alone."""
    return [variable.numpy().copy() for variable in variables]


def assign(variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
    """Put `arrays` into Keras variables. Raises CheckpointBroken when they do not fit."""
    ours = [(tuple(variable.shape), str(np.dtype(variable.dtype))) for variable in variables]
    theirs = [(array.shape, str(array.dtype)) for array in arrays]
    if ours != theirs:
        raise CheckpointBroken(f"it holds {theirs}; the model has {ours}.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
