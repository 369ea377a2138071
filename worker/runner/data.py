"""From a data set's examples to the three splits that a model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.catalog import Task
from labpool.dataset_form import Splits as Fractions
from labpool.dataset_form import Undivided
from labpool.model_form import ModelInput
from labpool.sdk import DataShape, Examples, Unsuitable
from worker.runner import tasks
from worker.runner.reasons import EntryBroken

MOST_RESIZED_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Split:
    """`x` float32 [n, ...], `y` the targets of the task [n, ...]: class numbers int64 [n], say."""

    x: NDArray[np.float32]
    y: NDArray[Any]


@dataclass(frozen=True)
class Splits:
    """Training examples are learned from, validation chooses, test is looked at once."""

    training: Split
    validation: Split
    test: Split
    undivided: bool = False
    """Whether all three are the same examples."""


def check(examples: Examples, kind: str) -> None:
    """Refuse what no model could be trained on. Raises EntryBroken, saying what is wrong."""
    x, y = examples.x, examples.y
    dimensions = 4 if kind == "image" else 2
    if x.dtype != np.float32 or x.ndim != dimensions:
        raise EntryBroken(
            f"x of {kind} data must be float32 of {dimensions} dimensions, not {x.dtype} {x.shape}."
        )
    if y.dtype != np.int64 or y.shape != (len(x),):
        raise EntryBroken(f"y must be int64 of shape ({len(x)},), not {y.dtype} {y.shape}.")
    if len(y) == 0 or y.min() < 0 or y.max() >= examples.classes:
        raise EntryBroken(f"labels must lie in 0..{examples.classes - 1}.")
    if not np.isfinite(x).all():
        raise EntryBroken("x holds numbers that are not finite.")
    tasks.check(examples)


def split(
    examples: Examples, fractions: Fractions | Undivided, task: Task = "classification"
) -> Splits:
    """Deal the examples out by one permutation: test first, then validation, the rest trains.

    So another validation fraction leaves the test split as it is. Undivided, each split is all of
    them in their own order. Raises Unsuitable when a split would be empty, and EntryBroken when the
    examples have no targets of `task`.
    """
    y = tasks.targets(examples, task)
    if isinstance(fractions, Undivided):
        whole = Split(examples.x, y)
        return Splits(whole, whole, whole, undivided=True)
    count = len(y)
    test = round(count * fractions.test)
    random = np.random.Generator(np.random.PCG64(fractions.seed))
    if fractions.test_is_last:
        order = np.concatenate([np.arange(count - test, count), random.permutation(count - test)])
    else:
        order = random.permutation(count)
    validation = test + round(count * fractions.validation)
    parts = [order[:test], order[test:validation], order[validation:]]
    if any(len(part) == 0 for part in parts):
        raise Unsuitable(f"{count} examples are too few to be split three ways.")
    of_test, of_validation, of_training = (Split(examples.x[p], y[p]) for p in parts)
    return Splits(of_training, of_validation, of_test)


def fit_to_model(
    x: NDArray[np.float32], kind: str, wanted: ModelInput
) -> tuple[NDArray[np.float32], str]:
    """`x` in the form a model takes, and its kind.

    Raises Unsuitable for vectors as images, and for pictures that enlarged pass MOST_RESIZED_BYTES.
    """
    if wanted.kind == "image" and kind != "image":
        raise Unsuitable("the model needs images, the data set holds vectors.")
    if wanted.kind == "vector" and kind == "image":
        return np.ascontiguousarray(x.reshape(len(x), -1)), "vector"
    if kind == "image" and wanted.size is not None:
        _refuse_enlarged(x, *wanted.size)
        return resize(x, *wanted.size), kind
    return x, kind


def _refuse_enlarged(x: NDArray[np.float32], height: int, width: int) -> None:
    """Millions of tiny pictures are a small file, and at a model's own size more than a machine."""
    needed = len(x) * height * width * x.shape[3] * x.itemsize
    if needed > max(MOST_RESIZED_BYTES, x.nbytes):
        raise Unsuitable(
            f"the model takes pictures of {height} x {width}, at which the data set's {len(x):,} "
            f"take {needed / 2**20:,.0f} MiB; {MOST_RESIZED_BYTES / 2**20:,.0f} MiB is the most. "
            "Take fewer pictures, or a model for smaller ones."
        )


def resize(images: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Bilinear resizing of [n, h, w, channels]; pixels are squares, so centres sit at a half."""
    if images.shape[1:3] == (height, width):
        return images
    rows = _between(images.shape[1], height)
    columns = _between(images.shape[2], width)
    resized = np.einsum("yr,xc,nrck->nyxk", rows, columns, images, optimize=True)
    return np.ascontiguousarray(resized, dtype=np.float32)


def _between(old: int, new: int) -> NDArray[np.float32]:
    """[new, old]: how much of each old pixel goes into each new one, along one side."""
    place = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    left = np.floor(place).astype(np.int64)
    right = np.minimum(left + 1, old - 1)
    share = place - left
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new), left), 1 - share)
    np.add.at(weights, (np.arange(new), right), share)
    return weights.astype(np.float32)


def permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch's examples: it depends on these three numbers and nothing else."""
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    return random.permutation(count)


def shape_of(x: NDArray[Any], kind: str, classes: int, task: Task = "classification") -> DataShape:
    """What a model is told about its data."""
    return DataShape("image" if kind == "image" else "vector", tuple(x.shape[1:]), classes, task)
