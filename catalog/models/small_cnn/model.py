"""Convolutions of 3 x 3 with max-pooling between them, then one hidden layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, height, width, channels] -> logits [batch, data.classes]."""
    side = min(data.shape[:2])
    model = keras.Sequential([keras.Input(data.shape)])
    for number, filters in enumerate(parameters["filters"], start=1):
        model.add(
            layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"conv{number}")
        )
        if side >= 2:
            model.add(layers.MaxPooling2D(name=f"pool{number}"))
            side //= 2
    model.add(layers.Flatten(name="flat"))
    model.add(layers.Dense(parameters["dense"], activation="relu", name="dense"))
    if parameters["dropout"] > 0:
        model.add(layers.Dropout(parameters["dropout"], name="dropout"))
    model.add(layers.Dense(data.classes, name="logits"))
    return model
