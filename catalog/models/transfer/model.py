"""A base that finds features and a head that names classes, so that each can be trained alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, height, width, channels] -> logits [batch, data.classes]."""
    filters = parameters["filters"]
    return keras.Sequential(
        [
            keras.Input(data.shape),
            layers.Conv2D(filters, 3, padding="same", activation="relu", name="base_conv1"),
            layers.BatchNormalization(momentum=0.9, name="base_norm"),
            layers.MaxPooling2D(padding="same", name="base_pool1"),
            layers.Conv2D(2 * filters, 3, padding="same", activation="relu", name="base_conv2"),
            layers.MaxPooling2D(padding="same", name="base_pool2"),
            layers.Flatten(name="features"),
            layers.Dropout(parameters["dropout"], name="dropout"),
            layers.Dense(data.classes, name="head"),
        ]
    )
