"""Loss and metrics of every member's examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from worker.runner.objective import CLASSIFICATION, Objective


def losses(objective: Objective, y: Any, outputs: Any) -> Any:
    """The loss of each example [members, batch]; targets and outputs are [members, batch, ...]."""
    return _each(objective.loss, objective.is_cross_entropy, y, outputs)


def values(objective: Objective, y: Any, outputs: Any) -> Any:
    """The metrics of each example, float64 [members, batch, metrics]."""
    is_own = objective.metrics is CLASSIFICATION.metrics
    return _each(objective.values, is_own, y, outputs)


def _each(function: Callable[[Any, Any], Any], at_once: bool, y: Any, outputs: Any) -> Any:
    if not at_once:
        # A model's own may do anything within a batch, so each member's stays one batch.
        members = outputs.shape[0]
        return tf.stack([function(y[member], outputs[member]) for member in range(members)])
    found = function(_merged(y), _merged(outputs))
    return tf.reshape(found, [*tf.unstack(tf.shape(outputs)[:2]), *found.shape[1:]])


def _merged(numbers: Any) -> Any:
    """[members, batch, ...] as [members * batch, ...]."""
    return tf.reshape(numbers, [-1, *numbers.shape[2:]])
