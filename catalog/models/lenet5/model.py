"""LeNet-5, with the layer names of the slide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, 28, 28, channels] -> logits [batch, data.classes]."""
    activation = parameters["activation"]
    average = parameters["subsampling"] == "average"
    pooling = keras.layers.AveragePooling2D if average else keras.layers.MaxPooling2D
    return keras.Sequential(
        [
            keras.Input(data.shape),
            # The paper pads its 28 x 28 digits to 32 x 32 first; "same" does both at once.
            keras.layers.Conv2D(6, 5, padding="same", activation=activation, name="c1"),
            pooling(2, name="s2"),
            keras.layers.Conv2D(16, 5, activation=activation, name="c3"),
            pooling(2, name="s4"),
            # 5 x 5 is all that is left, so each of these 120 convolutions of 5 x 5 has one place: a
            # dense layer, whose one product is several times faster than convolving once.
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(120, activation=activation, name="c5"),
            keras.layers.Dense(84, activation=activation, name="f6"),
            keras.layers.Dense(data.classes, name="logits"),
        ]
    )
