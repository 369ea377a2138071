"""One layer: logits = x·W + b."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from labpool.sdk import DataShape


def build(parameters: Mapping[str, Any], data: DataShape) -> keras.Model:
    """[batch, *data.shape] -> logits [batch, data.classes], by one matrix product."""
    return keras.Sequential(
        [
            keras.Input(data.shape),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(data.classes, use_bias=parameters["bias"], name="logits"),
        ]
    )
