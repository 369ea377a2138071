"""Arrays to labelled examples: one form for whatever format they came in."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Literal

from labpool.readers.idx import read_idx
from labpool.readers.limits import BadData, Limits
from labpool.readers.npz import read_npz
from labpool.readers.raw import RawArray, refuse_not_finite
from labpool.readers.table import read_csv

LEAST_EXAMPLES = 10
MOST_SIDE = 1024
MOST_ANSWERS = 2**29
"""Examples times classes: a classifier gives so many numbers to all of them, of four bytes each."""
_X = ("x", "images", "data", "features")
_Y = ("y", "labels", "label", "target", "targets")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Examples with their classes.

    ``x`` is flat in C order, bytes 0..255 or f4; images are [n, height, width, channels], vectors
    [n, features]; ``y`` is [n] in 0..classes-1. The last ``test`` examples are the authors' own
    test set; 0 where there is none.
    """

    kind: Literal["image", "vector"]
    shape: tuple[int, ...]
    x: array[Any]
    y: array[Any]
    classes: int
    class_names: list[str] = field(default_factory=list)
    test: int = 0

    @property
    def counts(self) -> list[int]:
        """Examples by class."""
        found = [0] * self.classes
        for label in self.y:
            found[label] += 1
        return found


def from_files(paths: Sequence[Path], limits: Limits = Limits()) -> Labelled:  # noqa: B008 - frozen
    """The examples of one NPZ or CSV file, or of an IDX file of images and one of labels.

    The format is told by the names. Raises BadData.
    """
    if not paths:
        raise BadData("nothing", "", "no file was given.")
    if len(paths) == 1:
        [path] = paths
        if path.suffix.lower() == ".npz":
            return from_npz(read_npz(path, limits), path.name, limits)
        if path.suffix.lower() == ".csv":
            x, y, names = read_csv(path, limits)
            return assemble(x, y, limits, names)
    if any(path.suffix.lower() in (".npz", ".csv") for path in paths):
        raise BadData(paths[0].name, "", "give one NPZ or CSV file, or two IDX files.")
    if len(paths) != 2:
        raise BadData(
            paths[0].name, "",
            "give both IDX files, images and labels; an NPZ or CSV file ends in .npz or .csv.",
        )  # fmt: skip
    first, second = (read_idx(path, limits) for path in paths)
    x, y = (second, first) if len(first.shape) < len(second.shape) else (first, second)
    return assemble(x, y, limits)


def from_npz(arrays: Mapping[str, RawArray], file: str, limits: Limits) -> Labelled:
    """Examples of ``x`` and ``y``, or of x_train, y_train, x_test, y_test. Raises BadData."""
    by_name = {name.lower(): found for name, found in arrays.items()}
    if len(by_name) < len(arrays):
        raise BadData(file, "", f"holds {', '.join(arrays)}: names that differ in capitals alone.")
    pairs = [(by_name.get(x), by_name.get(y)) for x in _X for y in _Y]
    for x, y in pairs:
        if x is not None and y is not None:
            return assemble(x, y, limits)
    parts = [by_name.get(name) for name in ("x_train", "y_train", "x_test", "y_test")]
    if all(part is not None for part in parts):
        x_train, y_train, x_test, y_test = (part for part in parts if part is not None)
        # Together they may fit all the same: each label would then be another example's.
        refuse_unpaired(x_train, y_train)
        refuse_unpaired(x_test, y_test)
        return assemble(
            joined([x_train, x_test]), joined([y_train, y_test]), limits, test=y_test.shape[0]
        )
    raise BadData(
        file,
        "",
        f"holds {', '.join(arrays)}; it needs x and y, or x_train, y_train, x_test, y_test.",
    )


def joined(parts: Sequence[RawArray]) -> RawArray:
    """The parts one after another. Raises BadData where they do not fit."""
    first = parts[0]
    values = array(first.values.typecode)
    for part in parts:
        if part.kind != first.kind or part.shape[1:] != first.shape[1:]:
            raise part.wrong(f"is {part.kind} {part.shape}, which {first.where} is not.")
        values.extend(part.values)
    rows = sum(part.shape[0] for part in parts)
    return RawArray(first.file, first.where, first.kind, (rows, *first.shape[1:]), values)


def assemble(
    x: RawArray, y: RawArray, limits: Limits, names: Sequence[str] = (), test: int = 0
) -> Labelled:
    """Check that ``x`` and ``y`` belong together and can be learned from. Raises BadData."""
    if y.shape[1:] not in ((), (1,)):
        raise y.wrong(f"labels have the shape [n], not {list(y.shape)}; or x is missing.")
    refuse_unpaired(x, y)
    if x.shape[0] < LEAST_EXAMPLES:
        raise x.wrong(f"{x.shape[0]} examples; at least {LEAST_EXAMPLES} are needed.")
    labels, classes = _labels(y, limits)
    if len(labels) * classes > MOST_ANSWERS:
        raise y.wrong(
            f"{len(labels)} examples in {classes} classes; of so many classes at most "
            f"{MOST_ANSWERS // classes} examples are read."
        )
    shape = _shape(x)
    kind: Literal["image", "vector"] = "image" if len(shape) == 3 else "vector"
    values = _pixels(x) if kind == "image" else _features(x)
    if len(values) * values.itemsize > limits.array_bytes:
        raise x.wrong(f"takes more than {limits.array_bytes} bytes as numbers of four bytes.")
    return Labelled(kind, shape, values, labels, classes, list(names), test)


def refuse_unpaired(x: RawArray, y: RawArray) -> None:
    """Raises BadData unless there are as many labels as examples."""
    if x.shape[0] != y.shape[0]:
        raise y.wrong(f"{y.shape[0]} labels for {x.shape[0]} examples.")


def _shape(x: RawArray) -> tuple[int, ...]:
    sides = x.shape[1:]
    if not 1 <= len(sides) <= 3:
        raise x.wrong(f"x has the shape {list(x.shape)}; [n, features] or [n, height, width, …].")
    if len(sides) == 1:
        return sides
    height, width, channels = sides if len(sides) == 3 else (*sides, 1)
    if channels > 4:
        hint = "; put the channels last" if height <= 4 else ""
        raise x.wrong(
            f"images of the shape {list(sides)} have {channels} channels, not 1 to 4{hint}."
        )
    if max(height, width) > MOST_SIDE:
        raise x.wrong(f"images of {height} x {width}; at most {MOST_SIDE} a side.")
    return height, width, channels


def _labels(y: RawArray, limits: Limits) -> tuple[array[Any], int]:
    if any(value != int(value) for value in y.values):
        raise y.wrong("labels are whole numbers from 0.")
    least, most = int(min(y.values)), int(max(y.values))
    if least < 0 or most >= limits.classes:
        raise y.wrong(f"labels lie in {least}..{most}; 0 to {limits.classes - 1} are read.")
    labels = array("i", (int(value) for value in y.values))
    missing = sorted(set(range(most + 1)) - set(labels))
    if missing or most == 0:
        what = f"no example of class {missing[0]}" if missing else "only one class"
        raise y.wrong(f"{what}: labels are 0 to classes - 1, each there, at least two.")
    return labels, most + 1


def _pixels(x: RawArray) -> array[Any]:
    """Bytes as they are; other whole numbers as bytes; fractions as f4 in 0..1."""
    if x.kind == "u1":
        return x.values
    least, most = min(x.values), max(x.values)
    if x.kind in ("f4", "f8") or x.kind == "b1":
        if least < 0 or most > 1:
            raise x.wrong(f"images hold bytes 0..255 or fractions 0..1, not {least:g}..{most:g}.")
        return _as_f4(x)
    if least < 0 or most > 255:
        raise x.wrong(f"images hold bytes 0..255 or fractions 0..1, not {least}..{most}.")
    return array("B", x.values)


def _features(x: RawArray) -> array[Any]:
    return _as_f4(x)


def _as_f4(x: RawArray) -> array[Any]:
    if x.kind == "f4":
        return x.values
    values = array("f", x.values)
    made = RawArray(x.file, x.where, "f4", (x.shape[0], prod(x.shape[1:])), values)
    refuse_not_finite(made)
    return values
