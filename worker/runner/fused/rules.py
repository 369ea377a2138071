"""The update rules of a spec for all members at once, each member at its own rate.

The formulas and their settings are those of the Keras optimizer that the unfused loop uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import tensorflow as tf

from worker.runner.fused.stacks import Stack


@dataclass(frozen=True)
class Rule:
    """An update rule: the optimizer's attributes that hold its slots, and one step of it."""

    slots: tuple[str, ...]
    step: Callable[[Any, Learned, Any, Any, Any], None]
    drifts: bool = False
    """Whether a step is gathered apart from the weight, and multiplied by the rate afterwards."""


class Learned:
    """A trainable variable of all members, what its optimizer keeps for it, and its rates."""

    def __init__(self, variable: Any, members: int, axis: int, rule: Rule) -> None:
        self.value = Stack.like(variable, members, axis)
        self.slots = [Stack.like(variable, members, axis) for _ in rule.slots]
        self._drift = Stack.like(variable, members, axis) if rule.drifts else None

    def now(self, rates: Any) -> Any:
        """The weights at this moment, where each member learns at its own of `rates` [members]."""
        if self._drift is None:
            return self.value.variable.read_value()
        return self.value.variable + self.value.across(rates) * self._drift.variable

    @property
    def drift(self) -> tf.Variable:
        """What there is of steps since `settle`, at a rate of 1."""
        assert self._drift is not None
        return self._drift.variable

    def settle(self, rates: Any) -> None:
        """Make the weights hold all steps so far. Where that is done changes the last bits."""
        if self._drift is not None:
            self.value.variable.assign(self.now(rates))
            self._drift.variable.assign(tf.zeros_like(self._drift.variable))

    def clear(self, alive: Any) -> None:
        """Zeros for members that are not `alive` [members]."""
        for stack in (self.value, *self.slots, *([self._drift] if self._drift else [])):
            stack.clear(alive)


def _sgd(_keras: Any, one: Learned, gradient: Any, rates: Any, _steps: Any) -> None:
    one.value.variable.assign_sub(gradient * one.value.across(rates))


def _momentum(keras: Any, one: Learned, gradient: Any, rates: Any, _steps: Any) -> None:
    moved = one.slots[0].variable
    # As Keras has it, which rounds the number to float32 first.
    momentum = tf.cast(keras.momentum, moved.dtype)
    moved.assign(moved * momentum - gradient * one.value.across(rates))
    one.value.variable.assign_add(moved)


def _rmsprop(keras: Any, one: Learned, gradient: Any, rates: Any, _steps: Any) -> None:
    velocity = one.slots[0].variable
    velocity.assign(keras.rho * velocity + (1 - keras.rho) * tf.square(gradient))
    increment = one.value.across(rates) * gradient / tf.sqrt(velocity + keras.epsilon)
    one.value.variable.assign_sub(increment)


def _adadelta(keras: Any, one: Learned, gradient: Any, rates: Any, _steps: Any) -> None:
    gradients, deltas = (slot.variable for slot in one.slots)
    gradients.assign(keras.rho * gradients + (1 - keras.rho) * tf.square(gradient))
    root, other = tf.sqrt(deltas + keras.epsilon), tf.sqrt(gradients + keras.epsilon)
    delta = -(root * gradient / other)
    deltas.assign(keras.rho * deltas + (1 - keras.rho) * tf.square(delta))
    one.value.variable.assign_add(one.value.across(rates) * delta)


def _adam(keras: Any, one: Learned, gradient: Any, _rates: Any, steps: Any) -> None:
    """One kernel a variable: it takes one rate for all, so it steps at 1 and `now` multiplies."""
    kind = gradient.dtype
    step = tf.cast(steps + 1, kind)
    tf.raw_ops.ResourceApplyAdam(
        var=one.drift.handle,
        m=one.slots[0].variable.handle,
        v=one.slots[1].variable.handle,
        beta1_power=tf.pow(tf.cast(keras.beta_1, kind), step),
        beta2_power=tf.pow(tf.cast(keras.beta_2, kind), step),
        lr=tf.ones([], kind),
        beta1=tf.constant(keras.beta_1, kind),
        beta2=tf.constant(keras.beta_2, kind),
        epsilon=tf.constant(keras.epsilon, kind),
        grad=gradient,
    )


RULES: Final[Mapping[str, Rule]] = {
    "sgd": Rule((), _sgd),
    "momentum": Rule(("momentums",), _momentum),
    "rmsprop": Rule(("_velocities",), _rmsprop),
    "adam": Rule(("_momentums", "_velocities"), _adam, drifts=True),
    "adadelta": Rule(("_accumulated_grads", "_accumulated_delta_vars"), _adadelta),
}


def places(optimizer: Any, rule: Rule, learned: Sequence[Any]) -> list[tuple[int, int] | str]:
    """For each variable of a built Keras optimizer what it is: `iterations`, `learning_rate`, or
    (which of `learned`, which slot)."""
    found: dict[int, tuple[int, int] | str] = {
        id(optimizer.iterations): "iterations",
        id(optimizer._learning_rate): "learning_rate",  # noqa: SLF001 - the variable, not its value
    }
    for slot, name in enumerate(rule.slots):
        for which, variable in enumerate(getattr(optimizer, name)):
            found[id(variable)] = (which, slot)
    assert len(learned) * len(rule.slots) == len(found) - 2
    return [found[id(variable)] for variable in optimizer.variables]
