"""The Sequential network of the slide, one line a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, height, width, channels] -> logits [batch, data.classes]."""
    model = keras.Sequential([keras.Input(data.shape)])
    model.add(layers.Conv2D(32, (3, 3), activation="relu", name="conv1"))
    model.add(layers.Conv2D(64, (3, 3), activation="relu", name="conv2"))
    model.add(layers.MaxPooling2D((2, 2), name="pool"))
    model.add(layers.Dropout(parameters["dropout_features"], name="dropout1"))
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(128, activation="relu", name="dense"))
    model.add(layers.Dropout(parameters["dropout_dense"], name="dropout2"))
    model.add(layers.Dense(data.classes, name="logits"))
    return model
