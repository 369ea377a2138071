"""The update rules of a spec, each with the settings labpool stands by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam, each variable updated by one of TensorFlow's kernels instead of a dozen.

    The formula is the same; the last bits in float32 are not Keras's, because the kernel takes the
    betas from one in that type and Keras in Python's.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move `variable` by one step, and its two averages."""
        if isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        kind = gradient.dtype
        beta1, beta2 = tf.constant(self.beta_1, kind), tf.constant(self.beta_2, kind)
        step = tf.cast(self.iterations.value + 1, kind)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            # As Keras has them, which rounds the bases to float32 first.
            beta1_power=tf.pow(tf.cast(self.beta_1, kind), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, kind), step),
            lr=tf.cast(learning_rate, kind),
            beta1=beta1,
            beta2=beta2,
            epsilon=tf.constant(self.epsilon, kind),
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    # A variable of Keras holds one of TensorFlow.
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


MOMENTUM: Final = 0.9
_UNSET: Final = 0.0  # the rate is a variable, set before each epoch
# Keras's own defaults, written out: a later Keras must not change what a spec means.
RULES: Final[Mapping[str, Callable[[], Any]]] = {
    "sgd": lambda: keras.optimizers.SGD(_UNSET),
    "momentum": lambda: keras.optimizers.SGD(_UNSET, momentum=MOMENTUM),
    "rmsprop": lambda: keras.optimizers.RMSprop(_UNSET, rho=0.9, epsilon=1e-7),
    "adam": lambda: Adam(_UNSET, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
    "adadelta": lambda: keras.optimizers.Adadelta(_UNSET, rho=0.95, epsilon=1e-7),
}


def make(name: str) -> Any:
    """A fresh Keras optimizer; its learning rate is a variable, to be set before each epoch."""
    return RULES[name]()
