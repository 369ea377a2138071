"""The variables of a group of networks, and the compiled functions over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from worker.runner import optimizers
from worker.runner.fused import scoring
from worker.runner.fused.forms import Wide
from worker.runner.fused.layers import KINDS, axis_of, own_numbers
from worker.runner.fused.rules import RULES, Learned, places
from worker.runner.fused.stacks import Stack
from worker.runner.objective import Objective


class Program:
    """What `members` networks of one architecture compute, traced once.

    `train` takes examples, targets, orders [members, n], and the first and the number of the steps
    to do; it gives mean losses [steps, members] and sums of metrics [steps, members, metrics].
    `measure` takes examples and targets; it gives sums of losses [members] and of metrics
    [members, metrics], and the outputs [members, n, ...]. `settle` and `clear` are those of
    `Learned`, for every weight.
    """

    def __init__(
        self,
        model: keras.Model,
        members: int,
        optimizer: str,
        batch_size: int,
        objective: Objective,
        target: tf.TensorSpec,
    ) -> None:
        """`model` lends its layers; `members` is at least 1. To be called on the device."""
        self._model, self._members, self._objective = model, members, objective
        self._batch_size, self._rule = batch_size, RULES[optimizer]
        self.optimizer = optimizers.make(optimizer)
        self.optimizer.build(model.trainable_variables)
        self.learned: dict[int, Learned] = {}
        """By the identity of the model's variable."""
        self.stacks: dict[int, Stack] = {}
        """Of every variable of the model, in its order."""
        self._make_variables()
        self.own: dict[int, Stack] = {
            id(layer): Stack((len(numbers),), "float64", members)
            for layer, numbers in own_numbers(model)
        }
        """By the identity of the model's layer, what members have of their own beside weights."""
        self.places = places(self.optimizer, self._rule, model.trainable_variables)
        self.rates = Stack((), str(self.optimizer.learning_rate.dtype), members)
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._trace(target)

    def slots(self) -> Iterator[tuple[int, Stack]]:
        """Each slot of the optimizer, with where it stands among the optimizer's variables."""
        learned = list(self.learned.values())
        for number, place in enumerate(self.places):
            if isinstance(place, tuple):
                yield number, learned[place[0]].slots[place[1]]

    def _make_variables(self) -> None:
        axes = {
            id(variable): axis_of(layer, variable)
            for layer in self._model.layers
            for variable in layer.variables
        }
        trained = {id(variable) for variable in self._model.trainable_variables}
        for variable in self._model.variables:
            key = id(variable)
            if key in trained:
                self.learned[key] = Learned(variable, self._members, axes[key], self._rule)
                self.stacks[key] = self.learned[key].value
            else:
                self.stacks[key] = Stack.like(variable, self._members)

    def _trace(self, target: tf.TensorSpec) -> None:
        one = self._model.inputs[0]
        examples = [tf.TensorSpec([None, *self._model.input_shape[1:]], one.dtype), target]
        number = tf.TensorSpec([], tf.int32)
        orders = tf.TensorSpec([self._members, None], tf.int64)
        alive = tf.TensorSpec([self._members], tf.bool)
        signature = [*examples, orders, number, number]
        self.train = tf.function(self._train_steps, input_signature=signature)
        self.measure = tf.function(self._measure_part, input_signature=examples)
        self.settle = tf.function(self._settle, input_signature=[])
        self.clear = tf.function(self._clear, input_signature=[alive])

    def _train_steps(self, all_x: Any, all_y: Any, orders: Any, first: Any, count: Any) -> Any:
        losses = tf.TensorArray(all_x.dtype, count)
        sums = tf.TensorArray(tf.float64, count)
        for step in tf.range(count):
            start = (first + step) * self._batch_size
            # A slice past the end is cut off: the last batch is as small as it is.
            chosen = orders[:, start : start + self._batch_size]
            x, y = tf.gather(all_x, chosen), tf.gather(all_y, chosen)
            means, values = self._one_step(Wide(x, self._members, "apart"), y)
            losses = losses.write(step, means)
            sums = sums.write(step, values)
        return tf.cast(losses.stack(), tf.float32), sums.stack()

    def _one_step(self, x: Wide, y: Any) -> tuple[Any, Any]:
        rates = self.rates.variable.read_value()
        now = {key: one.now(rates) for key, one in self.learned.items()}
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for weight in now.values():
                tape.watch(weight)
            outputs = self._outputs(x, now, training=True)
            means = tf.reduce_mean(scoring.losses(self._objective, y, outputs), axis=1)
            # Of a sum, each member's share of the gradient is its own gradient.
            total = tf.reduce_sum(means)
        gradients = tape.gradient(total, now)
        steps = self.steps.read_value()
        for key, one in self.learned.items():
            self._rule.step(self.optimizer, one, gradients[key], rates, steps)
        self.steps.assign_add(1)
        return means, tf.reduce_sum(scoring.values(self._objective, y, outputs), axis=1)

    def _measure_part(self, x: Any, y: Any) -> Any:
        rates = self.rates.variable.read_value()
        now = {key: one.now(rates) for key, one in self.learned.items()}
        outputs = self._outputs(Wide(x, self._members, "shared"), now, training=False)
        each = tf.tile(y[None], [self._members, *[1] * len(y.shape)])
        losses = scoring.losses(self._objective, each, outputs)
        sums = tf.reduce_sum(scoring.values(self._objective, each, outputs), axis=1)
        return tf.reduce_sum(tf.cast(losses, tf.float64), axis=1), sums, outputs

    def _outputs(self, x: Wide, now: Mapping[int, Any], training: bool) -> Any:
        """[members, batch, ...]"""
        go = _Pass(training, now, self.stacks, self.own)
        for layer in self._model.layers:
            x = KINDS[type(layer).__name__].apply(layer, x, go)
        return x.apart().numbers

    def _settle(self) -> None:
        rates = self.rates.variable.read_value()
        for one in self.learned.values():
            one.settle(rates)

    def _clear(self, alive: Any) -> None:
        for one in self.learned.values():
            one.clear(alive)
        for key, stack in self.stacks.items():
            if key not in self.learned:
                stack.clear(alive)


class _Pass:
    """One pass, with the weights as they are at its beginning."""

    def __init__(
        self,
        training: bool,
        weights: Mapping[int, Any],
        stacks: Mapping[int, Stack],
        own: Mapping[int, Stack],
    ) -> None:
        self.training = training
        self._weights, self._stacks, self._own = weights, stacks, own

    def weight(self, variable: Any) -> Any:
        """What stands for a Keras variable."""
        key = id(variable)
        if key in self._weights:
            return self._weights[key]
        return self._stacks[key].variable.read_value()

    def stack(self, variable: Any) -> Stack:
        """The same to be assigned to."""
        return self._stacks[id(variable)]

    def own(self, layer: Any) -> Any:
        """[members, numbers]"""
        return self._own[id(layer)].variable.read_value()
