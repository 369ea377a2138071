"""A U-Net: down to what is in a picture, up again to where, with shortcuts across."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from labpool.sdk import DataShape, Unsuitable


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, *data.shape] -> the logits of each pixel [batch, height, width, data.classes].

    Raises Unsuitable when the picture cannot be halved so often.
    """
    filters, levels = parameters["filters"], parameters["levels"]
    height, width, _ = data.shape
    if height % 2**levels or width % 2**levels:
        raise Unsuitable(
            f"pictures of {height} x {width} cannot be halved {levels} times; take fewer levels."
        )
    layers = keras.layers
    pictures = keras.Input(data.shape)
    seen, across = pictures, []
    for level in range(levels):
        seen = _twice(seen, filters * 2**level, f"down_{level}")
        across.append(seen)
        seen = layers.MaxPooling2D(2, name=f"halved_{level}")(seen)
    seen = _twice(seen, filters * 2**levels, "bottom")
    for level in reversed(range(levels)):
        count = filters * 2**level
        seen = layers.Conv2DTranspose(count, 2, strides=2, name=f"doubled_{level}")(seen)
        # What was lost by halving comes back by the side: where exactly an edge is.
        seen = layers.Concatenate(name=f"joined_{level}")([across[level], seen])
        seen = _twice(seen, count, f"up_{level}")
    return keras.Model(pictures, layers.Conv2D(data.classes, 1, name="logits")(seen))


def loss(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Any:
    """Mean cross-entropy of each example's pixels [batch], those of things weighted."""
    of_pixels = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=outputs)
    weights = tf.where(y > 0, parameters["thing_weight"], 1.0)
    total = tf.reduce_sum(weights * of_pixels, axis=(1, 2))
    return total / tf.reduce_sum(weights, axis=(1, 2))


def metrics(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Mapping[str, Any]:
    """Each example's [batch]: `iou` of its things, and the share of its pixels named right."""
    del parameters
    found = tf.argmax(outputs, axis=-1)
    right = tf.equal(found, y)
    things = tf.logical_or(found > 0, y > 0)
    shared, together = _count(tf.logical_and(right, things)), _count(things)
    # Where there is nothing and nothing is found, all is right.
    iou = tf.where(together > 0, shared / tf.maximum(together, 1), 1.0)
    return {"iou": iou, "pixel_accuracy": tf.reduce_mean(tf.cast(right, tf.float32), axis=(1, 2))}


def _twice(seen: Any, filters: int, name: str) -> Any:
    """Two convolutions of 3 x 3, each brought to the same mean and spread for every batch."""
    layers = keras.layers
    for part in "ab":
        called = f"{name}_{part}"
        seen = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=called)(seen)
        seen = layers.BatchNormalization(momentum=0.9, name=f"{called}_evened")(seen)
        seen = layers.ReLU(name=f"{called}_relu")(seen)
    return seen


def _count(pixels: Any) -> Any:
    """How many of each example's pixels [batch, height, width] are true: [batch] float32."""
    return tf.reduce_sum(tf.cast(pixels, tf.float32), axis=(1, 2))
