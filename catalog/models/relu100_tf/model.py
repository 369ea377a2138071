"""h = relu(x·W + b) with TensorFlow's own operations, and the training step written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from labpool.sdk import DataShape


class Relu100(keras.layers.Layer):  # type: ignore[misc]
    """[batch, height, width, channels] -> logits [batch, classes].

    Keras only keeps the variables, where checkpoints find them.
    """

    def __init__(self, inputs: int, units: int, bound: float, classes: int) -> None:
        """`inputs` counts the numbers of one picture; W begins uniform in -bound..bound."""
        super().__init__(name="relu100")
        self.inputs = inputs
        uniform = keras.initializers.RandomUniform(-bound, bound)
        self.W = self.add_weight(shape=(inputs, units), initializer=uniform, name="W")
        self.b = self.add_weight(shape=(units,), initializer="zeros", name="b")
        self.V = self.add_weight(shape=(units, classes), initializer="glorot_uniform", name="V")
        self.c = self.add_weight(shape=(classes,), initializer="zeros", name="c")

    def call(self, pictures: tf.Tensor) -> tf.Tensor:
        """The slide's `h_i`, then one sum a class."""
        x = tf.reshape(pictures, (-1, self.inputs))
        h = tf.nn.relu(tf.matmul(x, self.W) + self.b)
        return tf.matmul(h, self.V) + self.c


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, 28, 28, channels] -> logits [batch, data.classes]."""
    layer = Relu100(data.features, parameters["units"], parameters["bound"], data.classes)
    return keras.Sequential([keras.Input(data.shape), layer])


def gradients(parameters: Mapping[str, Any], model: keras.Model, x: Any, y: Any) -> Any:
    """One step: forward under a tape, the mean cross-entropy, its gradient by each variable."""
    del parameters
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(losses)
    return loss, logits, tape.gradient(loss, model.trainable_variables)
