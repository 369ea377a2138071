"""labpool's own update rules against Keras's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from worker.runner import backend

STEPS = 100


@pytest.fixture(scope="module", autouse=True)
def tensorflow() -> None:
    backend.prepare(1)


def moved(optimizer: Any, dtype: str, compiled: bool) -> np.ndarray[Any, Any]:
    """A variable [3, 5] after STEPS steps with gradients that depend on where it is."""
    import keras
    import tensorflow as tf

    draw = np.random.Generator(np.random.PCG64(0))
    variable = keras.Variable(draw.standard_normal((3, 5)), dtype=dtype, name="weights")
    pulls = tf.constant(draw.standard_normal((STEPS, 3, 5)), dtype)
    optimizer.build([variable])

    def step(number: Any) -> None:
        optimizer.apply([variable.value + pulls[number]], [variable])

    taken = tf.function(step) if compiled else step
    for number in range(STEPS):
        optimizer.learning_rate = 0.1 * 0.99**number
        taken(tf.constant(number))
    found: np.ndarray[Any, Any] = variable.numpy()
    return found


@pytest.mark.parametrize("compiled", [True, False])
def test_adam_goes_where_keras_goes(compiled: bool) -> None:
    import keras

    from worker.runner.optimizers import Adam

    single = moved(Adam(0.0), "float32", compiled)
    np.testing.assert_allclose(
        single, moved(keras.optimizers.Adam(0.0), "float32", compiled), rtol=1e-4, atol=1e-5
    )
    assert np.abs(single).max() > 0.1, "it went somewhere"


def test_the_same_rule_in_float64_to_the_last_digits() -> None:
    import keras

    from worker.runner.optimizers import Adam

    keras.config.set_floatx("float64")
    try:
        ours = moved(Adam(0.0), "float64", True)
        theirs = moved(keras.optimizers.Adam(0.0), "float64", True)
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
