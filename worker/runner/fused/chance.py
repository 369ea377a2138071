"""Random numbers of each member's own, the very ones that it draws when it trains alone."""

from __future__ import annotations

from typing import Any, Final, Literal

import tensorflow as tf

from worker.runner.fused.stacks import Stack

_INCREMENT: Final = [0, 1]
"""What a draw adds to the state of Keras's seed generator."""


def next_seeds(states: Stack) -> list[Any]:
    """Seeds [2] int32 of this draw, one a member; the `states` [members, 2] move on by one."""
    now = states.variable.read_value()
    states.variable.assign_add(tf.constant([_INCREMENT] * states.members, now.dtype))
    # As Keras does it, for kernels that take 32 bits.
    narrow = tf.cast(tf.math.floormod(now, tf.int32.max - 1), tf.int32)
    return list(tf.unstack(narrow, num=states.members))


def draw(
    kind: Literal["uniform", "normal"], seeds: list[Any], shape: Any, dtype: Any, axis: int
) -> Any:
    """Numbers of `shape` for each of the seeds, side by side along `axis`.

    Uniform ones lie in 0..1, normal ones have the variance 1.
    """
    operation = {
        "uniform": tf.raw_ops.StatelessRandomUniformV2,
        "normal": tf.raw_ops.StatelessRandomNormalV2,
    }[kind]
    algorithm = tf.raw_ops.StatelessRandomGetAlg()
    drawn = []
    for seed in seeds:
        key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
        drawn.append(operation(shape=shape, key=key, counter=counter, alg=algorithm, dtype=dtype))
    return tf.stack(drawn, axis=axis)
