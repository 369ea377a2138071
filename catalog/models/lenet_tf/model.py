"""The left side of the slide: convolutions by tf.nn.conv2d, and a training step of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from labpool.sdk import DataShape


class LeNet(keras.layers.Layer):  # type: ignore[misc]
    """[batch, 28, 28, channels] -> logits [batch, classes], variables named as on the slide."""

    def __init__(self, parameters: Mapping[str, Any], data: DataShape) -> None:
        """`parameters` are those of `model.toml`."""
        super().__init__(name="lenet")
        height, width, channels = data.shape
        k, l, m = (parameters[f"filters{number}"] for number in (1, 2, 3))  # noqa: E741
        n = parameters["dense"]
        # Two strides of 2 halve each side twice, rounding up: 28, 14, 7.
        self.flat = -(-height // 4) * -(-width // 4) * m
        self.rate = 1.0 - parameters["pkeep"]
        # A variable, so that checkpoints hold where the draws have got to.
        self.seeds = keras.random.SeedGenerator()
        self.W1, self.B1 = self._pair(1, (6, 6, channels, k))
        self.W2, self.B2 = self._pair(2, (5, 5, k, l))
        self.W3, self.B3 = self._pair(3, (4, 4, l, m))
        self.W4, self.B4 = self._pair(4, (self.flat, n))
        self.W5, self.B5 = self._pair(5, (n, data.classes))

    def call(self, X: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The slide from Y1 to Ylogits."""
        Y1 = tf.nn.relu(tf.nn.conv2d(X, self.W1, strides=1, padding="SAME") + self.B1)
        Y2 = tf.nn.relu(tf.nn.conv2d(Y1, self.W2, strides=2, padding="SAME") + self.B2)
        Y3 = tf.nn.relu(tf.nn.conv2d(Y2, self.W3, strides=2, padding="SAME") + self.B3)
        YY = tf.reshape(Y3, (-1, self.flat))
        Y4 = tf.nn.relu(tf.matmul(YY, self.W4) + self.B4)
        if training and self.rate > 0:
            seed = tf.cast(self.seeds.next(), tf.int32)
            Y4 = tf.nn.experimental.stateless_dropout(Y4, self.rate, seed)
        return tf.matmul(Y4, self.W5) + self.B5

    def _pair(self, number: int, shape: tuple[int, ...]) -> tuple[Any, Any]:
        spread = keras.initializers.TruncatedNormal(stddev=0.1)
        # Slightly above nought, so that few ReLU neurons begin dead.
        tenth = keras.initializers.Constant(0.1)
        return (
            self.add_weight(shape=shape, initializer=spread, name=f"W{number}"),
            self.add_weight(shape=shape[-1:], initializer=tenth, name=f"B{number}"),
        )


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, 28, 28, channels] -> logits [batch, data.classes]."""
    return keras.Sequential([keras.Input(data.shape), LeNet(parameters, data)])


def loss(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Any:
    """Each picture's cross-entropy [batch], times the slide's factor."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
    return losses * parameters["loss_scale"]


def gradients(parameters: Mapping[str, Any], model: keras.Model, x: Any, y: Any) -> Any:
    """The slide's `train_step` up to `minimize`: labpool's Adam does that."""
    with tf.GradientTape() as tape:
        Ylogits = model(x, training=True)
        cross_entropy = tf.reduce_mean(loss(parameters, y, Ylogits))
    return cross_entropy, Ylogits, tape.gradient(cross_entropy, model.trainable_variables)
