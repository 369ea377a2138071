"""The layers that a spec may list, as data: their arguments, and what they do to a shape.

Names and arguments are those of Keras, which is not imported: the service checks lists by this.
A layer that runs a user's code or loads anything has no place in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

Shape = tuple[int, ...]
"""Of one example: (height, width, channels) of a picture, or (numbers,) of a vector."""

ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "sigmoid",
)  # fmt: skip
WORDS = {"whole": "a whole number", "number": "a number", "flag": "true or false"}


class Misfit(Exception):
    """A layer cannot take the shape that reaches it."""


@dataclass(frozen=True)
class Argument:
    """What one argument may be. A `pair` is [rows, columns], or one number for both."""

    type: Literal["whole", "number", "flag", "choice", "pair"]
    default: Any = None
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()
    required: bool = False

    def read(self, value: Any) -> Any:
        """`value` in its one form. Raises ValueError with a sentence that begins with "must"."""
        match self.type:
            case "flag":
                if not isinstance(value, bool):
                    raise ValueError(f"must be {WORDS['flag']}, not {shown(value)}.")
                return value
            case "choice":
                if not isinstance(value, str) or value not in self.choices:
                    raise ValueError(
                        f"must be one of {', '.join(self.choices)}, not {shown(value)}."
                    )
                return value
            case "pair":
                return self._pair(value)
            case _:
                return self._number(value)

    def _pair(self, value: Any) -> list[int]:
        if isinstance(value, list):
            if len(value) != 2:
                raise ValueError("must be one whole number, or two: [rows, columns].")
            return [self._number(side) for side in value]
        return [self._number(value)] * 2

    def _number(self, value: Any) -> Any:
        whole = self.type != "number"
        word = WORDS["whole" if whole else "number"]
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise ValueError(f"must be {word}, not {shown(value)}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("must be a finite number.")
        if not self.least <= value <= self.most:
            raise ValueError(f"must be from {self.least:g} to {self.most:g}, not {shown(value)}.")
        return value if whole else float(value)


@dataclass(frozen=True)
class Kind:
    """A layer: what it takes, its arguments, the shape it makes of another, and its weights."""

    takes: Literal["picture", "vector", "anything"]
    arguments: Mapping[str, Argument]
    shape: Callable[[Shape, Mapping[str, Any]], Shape]
    weights: Callable[[Shape, Mapping[str, Any]], int] = lambda _shape, _given: 0


def shown(value: Any) -> str:
    """A value as a problem names it, short however large it is."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return "so large a number"
    text = repr(value[:60]) if isinstance(value, str) else f"{value}"
    hint = " in quotes" if isinstance(value, str) and _is_number(value[:60]) else ""
    return text + hint


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _same(shape: Shape, _given: Mapping[str, Any]) -> Shape:
    return shape


def _windows(shape: Shape, given: Mapping[str, Any], size: str) -> tuple[int, int]:
    """How many windows of `given[size]` there are, down and across."""
    sides, steps = given[size], given["strides"]
    if given["padding"] == "same":
        return -(-shape[0] // steps[0]), -(-shape[1] // steps[1])
    if sides[0] > shape[0] or sides[1] > shape[1]:
        raise Misfit(
            f"needs at least {sides[0]} x {sides[1]} pixels, and {shape[0]} x {shape[1]} reach it."
        )
    return (shape[0] - sides[0]) // steps[0] + 1, (shape[1] - sides[1]) // steps[1] + 1


def _convolved(shape: Shape, given: Mapping[str, Any]) -> Shape:
    return (*_windows(shape, given, "kernel_size"), given["filters"])


def _convolution_weights(shape: Shape, given: Mapping[str, Any]) -> int:
    count: int = (prod(given["kernel_size"]) * shape[2] + given["use_bias"]) * given["filters"]
    return count


def _pooled(shape: Shape, given: Mapping[str, Any]) -> Shape:
    return (*_windows(shape, given, "pool_size"), shape[2])


def _dense_weights(shape: Shape, given: Mapping[str, Any]) -> int:
    count: int = (shape[0] + given["use_bias"]) * given["units"]
    return count


def _padded(shape: Shape, given: Mapping[str, Any]) -> Shape:
    rows, columns = given["padding"]
    return shape[0] + 2 * rows, shape[1] + 2 * columns, shape[2]


def _enlarged(shape: Shape, given: Mapping[str, Any]) -> Shape:
    rows, columns = given["size"]
    return shape[0] * rows, shape[1] * columns, shape[2]


_ACTIVATION = Argument("choice", "linear", choices=ACTIVATIONS)
_BIAS = Argument("flag", True)
_PADDING = Argument("choice", "valid", choices=("valid", "same"))
_SHARE = Argument("number", required=True, least=0.0, most=0.95)
_EPSILON = Argument("number", 1e-3, least=1e-7, most=0.1)
_POOLING = Kind(
    "picture",
    {
        "pool_size": Argument("pair", [2, 2], least=1, most=16),
        # Left out, the windows lie side by side: the strides are then the pool's size.
        "strides": Argument("pair", least=1, most=16),
        "padding": _PADDING,
    },
    _pooled,
)
_WHOLE_PICTURE = Kind("picture", {}, lambda shape, _: shape[2:])

KINDS: Mapping[str, Kind] = {
    "Conv2D": Kind(
        "picture",
        {
            "filters": Argument("whole", required=True, least=1, most=512),
            "kernel_size": Argument("pair", required=True, least=1, most=11),
            "strides": Argument("pair", [1, 1], least=1, most=8),
            "padding": _PADDING,
            "activation": _ACTIVATION,
            "use_bias": _BIAS,
        },
        _convolved,
        _convolution_weights,
    ),
    "MaxPooling2D": _POOLING,
    "AveragePooling2D": _POOLING,
    "GlobalMaxPooling2D": _WHOLE_PICTURE,
    "GlobalAveragePooling2D": _WHOLE_PICTURE,
    "ZeroPadding2D": Kind(
        "picture", {"padding": Argument("pair", [1, 1], least=0, most=8)}, _padded
    ),
    "UpSampling2D": Kind("picture", {"size": Argument("pair", [2, 2], least=1, most=4)}, _enlarged),
    "Flatten": Kind("anything", {}, lambda shape, _: (prod(shape),)),
    "Dense": Kind(
        "vector",
        {
            "units": Argument("whole", required=True, least=1, most=4096),
            "activation": _ACTIVATION,
            "use_bias": _BIAS,
        },
        lambda _, given: (given["units"],),
        _dense_weights,
    ),
    "Activation": Kind(
        "anything", {"activation": Argument("choice", required=True, choices=ACTIVATIONS)}, _same
    ),
    "Dropout": Kind("anything", {"rate": _SHARE}, _same),
    "SpatialDropout2D": Kind("picture", {"rate": _SHARE}, _same),
    "GaussianNoise": Kind(
        "anything", {"stddev": Argument("number", required=True, least=0.0, most=1.0)}, _same
    ),
    "BatchNormalization": Kind(
        "anything",
        {"momentum": Argument("number", 0.99, least=0.0, most=0.9999), "epsilon": _EPSILON},
        _same,
        # Scale and offset, and the moving mean and variance.
        lambda shape, _: 4 * shape[-1],
    ),
    "LayerNormalization": Kind(
        "anything", {"epsilon": _EPSILON}, _same, lambda shape, _: 2 * shape[-1]
    ),
}
