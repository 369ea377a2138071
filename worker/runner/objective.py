"""What a network is trained for: its loss, the metrics that judge it, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import tensorflow as tf

from labpool.catalog import LOSS, Judging
from labpool.sdk import Unsuitable
from worker.runner.reasons import EntryBroken


@dataclass(frozen=True)
class Objective:
    """The part of a model's code that training needs besides the network itself.

    `loss` and `metrics` take targets [batch, ...] and outputs [batch, ...] and give one number an
    example: [batch], by name for metrics. `gradients` is the model's own step, None for labpool's.
    """

    loss: Callable[[Any, Any], Any]
    metrics: Callable[[Any, Any], Mapping[str, Any]]
    judging: Judging = field(default_factory=Judging)
    gradients: Callable[[Any, Any, Any], Any] | None = None

    @classmethod
    def of(cls, code: ModuleType, parameters: Mapping[str, Any], judging: Judging) -> Objective:
        """What `code` offers beside `build`, and labpool's classification for the rest.

        Raises EntryBroken when `code` has no metrics and `judging` wants others than accuracy.
        """
        loss, metrics = getattr(code, "loss", None), getattr(code, "metrics", None)
        gradients = getattr(code, "gradients", None)
        if metrics is None and not judging.metrics.keys() <= {"accuracy"}:
            wanted = ", ".join(judging.metrics)
            raise EntryBroken(f"model.toml judges by {wanted}, and model.py has no metrics.")
        return cls(
            _cross_entropy if loss is None else lambda y, outputs: loss(parameters, y, outputs),
            _accuracy if metrics is None else lambda y, outputs: metrics(parameters, y, outputs),
            judging,
            None if gradients is None else lambda model, x, y: gradients(parameters, model, x, y),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the metrics, in the order in which their sums are stored."""
        return tuple(self.judging.metrics)

    @property
    def is_cross_entropy(self) -> bool:
        """Whether the loss is labpool's own."""
        return self.loss is _cross_entropy

    def refuse_own_step(self) -> None:
        """Raises Unsuitable for a model with a step of its own, which `fit` would not take."""
        if self.gradients is not None:
            raise Unsuitable("This model has a step of its own; train it with engine: loop.")

    def score(self, loss: float, metrics: Mapping[str, float]) -> float:
        """What the best epoch has most of."""
        return self.signed({**metrics, LOSS: loss}[self.judging.selects])

    def signed(self, number: float) -> float:
        """The score of a selecting metric's value, or the value of a score."""
        return number if self.judging.is_maximized else -number

    def check(self, model: Any, x: Any, y: Any) -> None:
        """Try the metrics on a few examples. Raises EntryBroken when `model.toml` has others."""
        if self.metrics is not _accuracy:
            found = self.metrics(y, model(x, training=False))
            missing = [name for name in self.names if name not in found]
            if missing:
                raise EntryBroken(f"metrics gives no {missing[0]!r}, which model.toml judges by.")

    def values(self, y: Any, outputs: Any) -> Any:
        """Metrics of each example, float64 [batch, metrics], so that sums of hits are exact."""
        found = self.metrics(y, outputs)
        if not self.names:
            return tf.zeros([tf.shape(y)[0], 0], tf.float64)
        return tf.stack([tf.cast(found[name], tf.float64) for name in self.names], axis=1)


def _cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def _accuracy(y: tf.Tensor, logits: tf.Tensor) -> Mapping[str, tf.Tensor]:
    return {"accuracy": tf.equal(tf.argmax(logits, axis=1), y)}


CLASSIFICATION: Final = Objective(_cross_entropy, _accuracy)
"""Cross-entropy of logits with class numbers, and the share of right answers."""
