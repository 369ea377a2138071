"""The update rules of a spec, each with the settings labpool stands by."""

from __future__ import annotations

from typing import Any, Final

import keras

MOMENTUM: Final = 0.9
_UNSET: Final = 0.0  # the rate is a variable, set before each epoch
# Keras's own defaults, written out: a later Keras must not change what a spec means.
RULES: Final = {
    "sgd": lambda: keras.optimizers.SGD(_UNSET),
    "momentum": lambda: keras.optimizers.SGD(_UNSET, momentum=MOMENTUM),
    "rmsprop": lambda: keras.optimizers.RMSprop(_UNSET, rho=0.9, epsilon=1e-7),
    "adam": lambda: keras.optimizers.Adam(_UNSET, beta_1=0.9, beta_2=0.999, epsilon=1e-7),
    "adadelta": lambda: keras.optimizers.Adadelta(_UNSET, rho=0.95, epsilon=1e-7),
}


def make(name: str) -> Any:
    """A fresh Keras optimizer; its learning rate is a variable, to be set before each epoch."""
    return RULES[name]()
