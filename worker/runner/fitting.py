"""Training by Keras's own `fit`: the reference that labpool's loop is held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray

from worker.runner import backend
from worker.runner.network import Network
from worker.runner.resident import Resident


class FitNetwork(Network):
    """A network whose epochs are calls of `fit`, fed in labpool's order.

    Fed the same batches it ends with the same weights as `Network`, bit for bit on the processor.
    """

    whole_epochs: ClassVar[bool] = True

    def __init__(
        self, model: keras.Model, optimizer: str, batch_size: int, device: backend.Device
    ) -> None:
        """`model` must be built; the learning rate is to be set before the first step."""
        super().__init__(model, optimizer, batch_size, device)
        model.compile(
            optimizer=self.optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )

    def train_steps(
        self,
        training: Resident,
        order: NDArray[np.int64],
        first: int,
        count: int,
        cancel_point: Callable[[], None] = lambda: None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As in `Network`, but each step's loss is the mean over all, and the last has all hits."""
        chosen = order[first * self._batch_size : (first + count) * self._batch_size]
        with backend.on(self._device):
            history = self.model.fit(
                training.x.numpy()[chosen],
                training.y.numpy()[chosen],
                batch_size=self._batch_size,
                shuffle=False,
                verbose=0,
                callbacks=[_CancelPoints(cancel_point)],
            ).history
        right = np.zeros(count, np.int64)
        right[-1] = round(history["accuracy"][0] * len(chosen))
        return np.full(count, history["loss"][0], np.float32), right


class _CancelPoints(keras.callbacks.Callback):  # type: ignore[misc]
    def __init__(self, cancel_point: Callable[[], None]) -> None:
        super().__init__()
        self._cancel_point = cancel_point

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._cancel_point()
