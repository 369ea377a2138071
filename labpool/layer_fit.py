"""A list of layers against the data set that a spec gives it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from labpool import layers
from labpool.catalog import DatasetEntry, ModelEntry
from labpool.errors import Problem
from labpool.parameters import LayersParameter, fill

Where = tuple[str | int, ...]
MOST_BATCH = 65536
"""What the form of a spec lets a batch have; beyond it is the form's problem alone."""


def layer_problems(
    model: ModelEntry, dataset: DatasetEntry, raw: Mapping[str, Any], where: Where
) -> list[Problem]:
    """What keeps the model's list of layers from working on the data set, or makes it too large.

    Nothing where the parameters themselves have problems, which `fill` tells.
    """
    names = [name for name, one in model.parameters.items() if isinstance(one, LayersParameter)]
    if not names:
        return []
    values, wrong = fill(dict(model.parameters), raw.get("parameters", {}), of=model.name)
    given = raw.get("dataset_parameters", {})
    chosen, more = fill(dict(dataset.parameters), given, of=dataset.name)
    if wrong or more:
        return []
    shape, classes = reaching(model, dataset, chosen)
    problems: list[Problem] = []
    for name in names:
        at = (*where, "parameters", name)
        found = layers.size_problems(values[name], shape, classes, *at)
        if not found:
            batch = raw.get("batch_size") or model.defaults.batch_size
            if isinstance(batch, int) and 0 < batch <= MOST_BATCH:  # the form says so otherwise
                found = layers.batch_problems(values[name], shape, classes, batch, *at)
        problems += found
    return problems


def reaching(
    model: ModelEntry, dataset: DatasetEntry, chosen: Mapping[str, Any]
) -> tuple[tuple[int, ...], int]:
    """The shape of one example as it reaches the model, and the number of classes.

    The runner works the shape out anew from the examples themselves.
    """
    shape = example_shape(dataset, chosen)
    if dataset.kind == "image":
        if model.input.size is not None:
            shape = (*model.input.size, shape[2])
        if model.input.kind == "vector":
            shape = (prod(shape),)
    return shape, chosen.get("classes", dataset.classes)


def example_shape(dataset: DatasetEntry, chosen: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of one example as the data set gives it.

    A data set of any size says so by parameters of the names `height`, `width` and `channels`, or
    `size` for both sides, and `classes`.
    """
    if dataset.kind != "image":
        return dataset.shape
    height, width, channels = dataset.shape
    return (
        chosen.get("height", chosen.get("size", height)),
        chosen.get("width", chosen.get("size", width)),
        chosen.get("channels", channels),
    )
