"""The sweeps that everybody runs: files of labpool's own form, and the trials that they mean."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labpool.reading import read_spec

FOLDER = Path(__file__).parent / "specs"
LARGE = ("mlp", "cnn")
SMALL = {name: f"{name}_small" for name in LARGE}

Trial = dict[str, Any]


def spec_of(name: str, wider: int = 0, shortened_to: int | None = None) -> dict[str, Any]:
    """The sweep of a file; its last hidden layer is `wider` by so many neurons.

    A service keeps the programs of networks that it has seen. `wider` gives one that nobody has.
    `shortened_to` is a number of epochs.
    """
    spec: dict[str, Any] = read_spec((FOLDER / f"{name}.yaml").read_bytes(), "yaml")
    parameters = spec["base"]["parameters"]
    if "hidden" in parameters:
        parameters["hidden"][-1] += wider
    else:
        parameters["dense"] += wider
    if shortened_to is not None:
        spec["base"]["epochs"] = spec["base"]["checkpoint_every_epochs"] = shortened_to
    return spec


def trials_of(spec: Mapping[str, Any]) -> list[Trial]:
    """Every trial of a grid, the last axis fastest, as `rivals.fits` and `rivals.loops` take it."""
    base, space = spec["base"], spec["space"]
    return [
        {"number": number, **copy.deepcopy(base), **dict(zip(space, values, strict=True))}
        for number, values in enumerate(itertools.product(*space.values()))
    ]
