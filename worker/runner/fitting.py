"""Training by Keras's own `fit`: the reference that labpool's loop is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from worker.runner import backend
from worker.runner.network import CLASS_NUMBERS, Network
from worker.runner.objective import CLASSIFICATION, Objective
from worker.runner.resident import Resident


class FitNetwork(Network):
    """A network whose epochs are calls of `fit`, fed in labpool's order.

    Fed the same batches it ends with the same weights as `Network`, bit for bit on the processor.
    """

    whole_epochs: ClassVar[bool] = True

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

        Raises Unsuitable when the model has a step of its own.
        """
        objective.refuse_own_step()
        super().__init__(model, optimizer, batch_size, device, objective, target)
        if objective.is_cross_entropy:
            loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        else:
            loss = _loss(objective, target)
        metrics = [_metric(objective, name, target) for name in objective.names]
        model.compile(optimizer=self.optimizer, loss=loss, metrics=metrics, jit_compile=False)

    def train_steps(
        self,
        training: Resident,
        order: NDArray[np.int64],
        first: int,
        count: int,
        cancel_point: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """As in `Network`, but each step's loss is the mean over all, and the last has all sums."""
        chosen = order[first * self._batch_size : (first + count) * self._batch_size]
        with backend.on(self._device):
            # Keras's own trace cannot be had before it trains; the same step of the loop's can.
            self._check_once(training, tf.function(self.gradients, input_signature=self._examples))
            history = self.model.fit(
                training.x.numpy()[chosen],
                training.y.numpy()[chosen],
                batch_size=self._batch_size,
                shuffle=False,
                verbose=0,
                callbacks=[_CancelPoints(cancel_point)],
            ).history
        sums = np.zeros((count, len(self.objective.names)))
        sums[-1] = [history[name][0] * len(chosen) for name in self.objective.names]
        return np.full(count, history["loss"][0], np.float32), sums


def _as_given(y: Any, target: tf.TensorSpec) -> Any:
    # Keras hands targets over as floating-point numbers, and as [batch, 1] to a single output.
    return tf.reshape(tf.cast(y, target.dtype), [-1, *target.shape[1:]])


def _loss(objective: Objective, target: tf.TensorSpec) -> Any:
    def of_each(y: Any, outputs: Any) -> Any:
        return objective.loss(_as_given(y, target), outputs)

    return of_each


def _metric(objective: Objective, name: str, target: tf.TensorSpec) -> Any:
    def of_each(y: Any, outputs: Any) -> Any:
        return tf.cast(objective.metrics(_as_given(y, target), outputs)[name], tf.float32)

    return keras.metrics.MeanMetricWrapper(of_each, name=name)


class _CancelPoints(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, cancel_point: Callable[[], None]) -> None:
        super().__init__()
        self._cancel_point = cancel_point

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._cancel_point()
