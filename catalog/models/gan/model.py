"""A class-conditional DCGAN: one network draws pictures, the other tells them from real ones.

Both are parts of one Keras model and learn in one step, each against the other. A model of classes
too: a picture is given the class of the drawn picture that it is nearest to, so it is judged by how
well what it draws stands for what is real.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from labpool.sdk import DataShape, Unsuitable

JUDGED_BY = 40
"""Drawn pictures a class that real ones are compared with."""
SHOWN_STYLES = 8
SHARPNESS = 128.0
"""What a mean squared distance a pixel is multiplied by to be a logit."""
LEAST_SIDE = 4
LEAK = 0.2
BATCH_MEMORY = 0.9
"""How slowly the generator's running means follow its batches."""
_NEVER_NEAREST = 1e9


class Adversaries(keras.layers.Layer):  # type: ignore[misc]
    """The two networks, and the source of the noise that tells one picture from the next."""

    def __init__(self, parameters: Mapping[str, Any], data: DataShape, **settings: Any) -> None:
        """`parameters` are those of `model.toml`."""
        super().__init__(**settings)
        self.classes, self.noise = data.classes, int(parameters["noise"])
        self.generator = _generator(parameters, data)
        self.discriminator = _discriminator(parameters, data)
        # Its state is a variable of the model: a checkpoint has it, so a resumed run draws on.
        self.random = keras.random.SeedGenerator()

    def call(self, x: Any) -> Any:
        """Logits [batch, classes] of pictures [batch, h, w, c], from what the generator draws."""
        y = tf.repeat(tf.range(self.classes, dtype=tf.int64), JUDGED_BY)
        styles = self.styles(self.classes * JUDGED_BY, seed=0)
        return nearness(x, self.draw(y, styles, training=False), y, self.classes)

    def draw(self, y: Any, styles: Any, training: bool) -> Any:
        """A picture [batch, h, w, c], 0..1, for each class y [batch] and style [batch, noise]."""
        return self.generator([tf.one_hot(y, self.classes), styles], training=training)

    def styles(self, count: int, seed: int) -> Any:
        """Styles [count, noise] that depend on `seed` alone."""
        return tf.random.stateless_normal((count, self.noise), seed=(seed, 0))

    def fresh_styles(self, count: Any) -> Any:
        """Styles [count, noise] for training: others each time."""
        return keras.random.normal((count, self.noise), seed=self.random)


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, h, w, c] -> logits [batch, classes]."""
    sides = data.shape[:2]
    if data.kind != "image" or any(side % LEAST_SIDE for side in sides):
        shape = " x ".join(str(side) for side in sides)
        raise Unsuitable(
            f"it draws images whose height and width are multiples of {LEAST_SIDE}, not {shape}."
        )
    pictures = keras.Input(data.shape)
    both = Adversaries(parameters, data, name="adversaries")
    return keras.Model(pictures, both(pictures))


def gradients(
    parameters: Mapping[str, Any], model: keras.Model, x: Any, y: Any
) -> tuple[Any, Any, list[Any]]:
    """One step of both: each follows the gradient of its own loss, and of nothing else."""
    both, count = _adversaries(model), tf.shape(y)[0]
    of_generator = both.generator.trainable_variables
    of_discriminator = both.discriminator.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        drawn = both.draw(y, both.fresh_styles(count), training=True)
        beliefs = both.discriminator(tf.concat([x, drawn], axis=0), training=True)
        # It has one output a class; only that of the picture's own class is asked.
        asked = tf.gather(beliefs, tf.concat([y, y], axis=0), batch_dims=1)
        real, forged = asked[:count], asked[count:]
        # Never quite sure of the real ones, so that its gradient does not fade.
        telling = _loss(real, 1.0 - parameters["smoothing"]) + _loss(forged, 0.0)
        forging = _loss(forged, 1.0)
    found = {
        variable.path: gradient
        for loss, variables in ((forging, of_generator), (telling, of_discriminator))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True)
    }
    outputs = nearness(x, drawn, y, both.classes)
    return telling + forging, outputs, [found[one.path] for one in model.trainable_variables]


def metrics(parameters: Mapping[str, Any], y: Any, outputs: Any) -> Mapping[str, Any]:
    """Whether the nearest drawn picture is of the right class, and how far the right one is."""
    del parameters
    squared = tf.gather(outputs, y, batch_dims=1) / -SHARPNESS
    return {
        "accuracy": tf.equal(tf.argmax(outputs, axis=1), y),
        "distance": tf.sqrt(tf.maximum(squared, 0.0)),
    }


def samples(parameters: Mapping[str, Any], model: keras.Model, seed: int) -> NDArray[np.float32]:
    """A row of pictures a class, a style a column: content down, style across."""
    del parameters
    both = _adversaries(model)
    styles = tf.tile(both.styles(SHOWN_STYLES, seed), (both.classes, 1))
    y = tf.repeat(tf.range(both.classes, dtype=tf.int64), SHOWN_STYLES)
    drawn = np.asarray(both.draw(y, styles, training=False))
    return drawn.reshape(both.classes, SHOWN_STYLES, *drawn.shape[1:])


def nearness(x: Any, drawn: Any, y: Any, classes: int) -> Any:
    """Logits [batch, classes]: minus the distance of x to the nearest of `drawn` in each class y.

    A distance is the mean over pixels of the squared difference, times SHARPNESS. A class of
    which nothing was drawn is infinitely far, as far as float32 goes.
    """
    x, drawn = (tf.reshape(one, (tf.shape(one)[0], -1)) for one in (x, drawn))
    squares = (
        tf.reduce_sum(x**2, axis=1)[:, None]
        - 2.0 * tf.matmul(x, drawn, transpose_b=True)
        + tf.reduce_sum(drawn**2, axis=1)[None, :]
    ) / tf.cast(tf.shape(x)[1], tf.float32)
    is_of_class = tf.equal(y[None, :], tf.range(classes, dtype=tf.int64)[:, None])
    of_class = tf.where(is_of_class[None], squares[:, None, :], _NEVER_NEAREST)
    return -SHARPNESS * tf.reduce_min(of_class, axis=2)


def _loss(logits: Any, target: float) -> Any:
    targets = tf.fill(tf.shape(logits), target)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))


def _adversaries(model: keras.Model) -> Any:
    return model.get_layer("adversaries")


def _generator(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """Class [batch, classes] and style [batch, noise] -> pictures, doubled in size twice."""
    height, width, channels = data.shape
    filters = int(parameters["filters"])
    content = keras.Input((data.classes,), name="content")
    style = keras.Input((int(parameters["noise"]),), name="style")
    small = (height // LEAST_SIDE, width // LEAST_SIDE, 2 * filters)
    sums = keras.layers.Dense(small[0] * small[1] * small[2], use_bias=False, name="g_dense")
    drawn = _normed(sums(keras.layers.Concatenate()([content, style])), "g_norm1")
    drawn = keras.layers.Reshape(small)(drawn)
    larger = keras.layers.Conv2DTranspose(
        filters, 4, strides=2, padding="same", use_bias=False, name="g_conv1"
    )
    drawn = _normed(larger(drawn), "g_norm2")
    last = keras.layers.Conv2DTranspose(
        channels, 4, strides=2, padding="same", activation="sigmoid", name="g_conv2"
    )
    return keras.Model([content, style], last(drawn), name="generator")


def _normed(sums: Any, name: str) -> Any:
    normed = keras.layers.BatchNormalization(momentum=BATCH_MEMORY, name=name)(sums)
    return keras.layers.ReLU()(normed)


def _discriminator(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """Pictures -> how real it takes each for, were it of this class: [batch, classes] logits."""
    filters = int(parameters["filters"])
    pictures = keras.Input(data.shape)
    seen = pictures
    for number in (1, 2):
        seen = keras.layers.Conv2D(
            number * filters, 4, strides=2, padding="same", name=f"d_conv{number}"
        )(seen)
        seen = keras.layers.LeakyReLU(LEAK)(seen)
        # Off rather than 0: a layer without a part in the training has no state either.
        if parameters["dropout"] > 0:
            seen = keras.layers.Dropout(parameters["dropout"], name=f"d_dropout{number}")(seen)
    beliefs = keras.layers.Dense(data.classes, name="d_beliefs")(keras.layers.Flatten()(seen))
    return keras.Model(pictures, beliefs, name="discriminator")
