"""A convolutional network that says what is in a picture, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, *data.shape] -> [batch, data.classes + 4]: logits, then the box."""
    layers, hidden = keras.layers, parameters["hidden"]
    pictures = keras.Input(data.shape)
    seen = _convolution(pictures, parameters["filters"], "c1")
    for level in (2, 3):
        seen = layers.MaxPooling2D(2, padding="same", name=f"s{level}")(seen)
        seen = _convolution(seen, parameters["filters"] * 2 ** (level - 1), f"c{level}")
    # What it is does not depend on where it is, so that head reads the most of each feature.
    most = layers.GlobalMaxPooling2D(name="most")(seen)
    what = layers.Dense(hidden, activation="relu", name="what_hidden")(most)
    what = layers.Dense(data.classes, name="what")(what)
    # The other reads how the most of each feature goes from left to right, and down.
    _, height, width, _ = seen.shape
    across = layers.Flatten(name="across")(layers.MaxPooling2D((height, 1), name="columns")(seen))
    down = layers.Flatten(name="down")(layers.MaxPooling2D((1, width), name="rows")(seen))
    where = layers.Concatenate(name="sides")([across, down])
    # The sums of so many would drive the sigmoid to where it has no slope.
    where = layers.Dense(hidden, use_bias=False, name="where_hidden")(where)
    where = layers.LayerNormalization(name="where_evened")(where)
    where = layers.ReLU(name="where_relu")(where)
    # Centre, width and height are shares of the picture, so they lie between 0 and 1.
    where = layers.Dense(4, activation="sigmoid", name="where")(where)
    return keras.Model(pictures, layers.Concatenate(name="what_and_where")([what, where]))


def _convolution(seen: Any, filters: int, name: str) -> Any:
    seen = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(seen)
    # Brought to one mean and spread for every batch, and then rectified.
    seen = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_evened")(seen)
    return keras.layers.ReLU(name=f"{name}_relu")(seen)


def loss(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Any:
    """Cross-entropy of the class and the box's loss, weighted [batch]."""
    numbers, logits, truth, found = _parts(y, outputs)
    of_class = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=numbers, logits=logits)
    if parameters["box_loss"] == "iou":
        of_box = 1.0 - _generalised_iou(truth, found)
    else:
        of_box = tf.reduce_sum(_smooth(found - truth), axis=1)
    return of_class + parameters["box_weight"] * of_box


def metrics(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Mapping[str, Any]:
    """Each example's [batch]: `iou` of its box, and whether it is named right."""
    del parameters
    numbers, logits, truth, found = _parts(y, outputs)
    shared, together, _ = _areas(truth, found)
    return {
        "iou": shared / together,
        "accuracy": tf.equal(tf.argmax(logits, axis=1), numbers),
    }


def _parts(y: Any, outputs: Any) -> tuple[Any, Any, Any, Any]:
    """Class numbers [batch], logits [batch, classes], true and found boxes [batch, 4]."""
    return tf.cast(y[:, 0], tf.int64), outputs[:, :-4], y[:, 1:], outputs[:, -4:]


def _generalised_iou(truth: Any, found: Any) -> Any:
    """Intersection over union, less the share of the box around both that neither covers.

    Boxes that are apart share nothing however far; the second part still draws them together.
    """
    shared, together, around = _areas(truth, found)
    return shared / together - (around - together) / around


def _areas(truth: Any, found: Any) -> tuple[Any, Any, Any]:
    """Areas [batch] that two boxes share, cover together, and that the box around both has."""
    low, high = zip(_corners(truth), _corners(found), strict=True)
    shared = _area(tf.maximum(*low), tf.minimum(*high))
    around = _area(tf.minimum(*low), tf.maximum(*high))
    together = _area(low[0], high[0]) + _area(low[1], high[1]) - shared
    # A true box has an area, so none of the last two is nought.
    return shared, together, around


def _corners(box: Any) -> tuple[Any, Any]:
    """The corner [batch, 2] nearest to the picture's origin, and the one opposite."""
    centre, size = box[:, :2], box[:, 2:]
    return centre - size / 2, centre + size / 2


def _area(low: Any, high: Any) -> Any:
    return tf.reduce_prod(tf.maximum(high - low, 0.0), axis=1)


def _smooth(distance: Any, turn: float = 0.1) -> Any:
    """Squared below `turn` and straight above, without a corner: outliers do not rule."""
    size = tf.abs(distance)
    return tf.where(size < turn, size**2 / (2 * turn), size - turn / 2)
