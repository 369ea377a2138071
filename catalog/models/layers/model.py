"""A Sequential network, layer by layer as the spec lists it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from labpool.layers import checked
from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, *data.shape] -> logits [batch, data.classes]. Raises Unsuitable."""
    model = keras.Sequential([keras.Input(data.shape)])
    # Only names of the allowed list come back from `checked`.
    for number, listed in enumerate(checked(parameters["layers"], data.shape, data.classes), 1):
        make = getattr(keras.layers, listed["type"])
        arguments = {name: value for name, value in listed.items() if name != "type"}
        model.add(make(**arguments, name=f"layer{number}"))
    model.add(keras.layers.Dense(data.classes, name="logits"))
    return model
