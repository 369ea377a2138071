"""What a network is trained for: its loss, the metrics that judge it, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

import tensorflow as tf

from labpool.catalog import Task
from labpool.model_form import Judging
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
    def of(
        cls,
        code: ModuleType,
        parameters: Mapping[str, Any],
        judging: Judging,
        task: Task = "classification",
    ) -> Objective:
        """What `code` offers beside `build`, and labpool's classification for the rest.

        Raises EntryBroken when `code` has no metrics and `judging` wants others than accuracy, and
        when it leaves another task than classification to labpool.
        """
        loss, metrics = getattr(code, "loss", None), getattr(code, "metrics", None)
        gradients = getattr(code, "gradients", None)
        if task != "classification" and (loss is None or metrics is None):
            missing = "loss" if loss is None else "metrics"
            raise EntryBroken(f"a model for {task} needs a function {missing} in model.py.")
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

    @property
    def is_labpools(self) -> bool:
        """Whether nothing of it is the model's own, which may depend on its parameters."""
        return self.is_cross_entropy and self.metrics is _accuracy

    def refuse_own_step(self) -> None:
        """Raises Unsuitable for a model with a step of its own, which `fit` would not take."""
        if self.gradients is not None:
            raise Unsuitable("This model has a step of its own; train it with engine: loop.")

    def check(self, model: Any, x: Any, y: Any) -> None:
        """Try what the model has of its own on a few examples.

        Raises EntryBroken when `model.toml` has other metrics, and when a loss or a metric is not
        one number an example: its mean over the pixels, say, is the model's to take.
        """
        if self.is_cross_entropy and self.metrics is _accuracy:
            return
        outputs = model(x, training=False)
        if self.loss is not _cross_entropy:
            _check_one_each("loss", self.loss(y, outputs), len(x))
        if self.metrics is not _accuracy:
            found = self.metrics(y, outputs)
            missing = [name for name in self.names if name not in found]
            if missing:
                raise EntryBroken(f"metrics gives no {missing[0]!r}, which model.toml judges by.")
            for name in self.names:
                _check_one_each(f"metrics: {name}", found[name], len(x))

    def values(self, y: Any, outputs: Any) -> Any:
        """Metrics of each example, float64 [batch, metrics], so that sums of hits are exact."""
        found = self.metrics(y, outputs)
        if not self.names:
            return tf.zeros([tf.shape(y)[0], 0], tf.float64)
        return tf.stack([tf.cast(found[name], tf.float64) for name in self.names], axis=1)


def _check_one_each(what: str, values: Any, count: int) -> None:
    shape = tuple(tf.convert_to_tensor(values).shape)
    if shape != (count,):
        raise EntryBroken(f"{what} gives {shape} for {count} examples, not one number for each.")


def _cross_entropy(y: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def _accuracy(y: tf.Tensor, logits: tf.Tensor) -> Mapping[str, tf.Tensor]:
    return {"accuracy": tf.equal(tf.argmax(logits, axis=1), y)}


CLASSIFICATION: Final = Objective(_cross_entropy, _accuracy)
"""Cross-entropy of logits with class numbers, and the share of right answers."""
