"""Fully connected layers: each is f(W·x + b)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, *data.shape] -> logits [batch, data.classes]."""
    model = keras.Sequential([keras.Input(data.shape), keras.layers.Flatten(name="flat")])
    for number, width in enumerate(parameters["hidden"], start=1):
        model.add(
            keras.layers.Dense(
                width,
                activation=parameters["activation"],
                use_bias=parameters["bias"],
                name=f"hidden{number}",
            )
        )
        if parameters["dropout"] > 0:
            model.add(keras.layers.Dropout(parameters["dropout"], name=f"dropout{number}"))
    model.add(keras.layers.Dense(data.classes, use_bias=parameters["bias"], name="logits"))
    return model
