"""What a classifier makes of the test split: which class it takes for which, and its worst errors.

labpool works this out from the outputs that the test's loss and accuracy come from, so all of them
agree, and no code of the model's has a say in it.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.sdk import DataShape
from worker.runner import png, tiles
from worker.runner.files import write_file
from worker.runner.reasons import DISK_FULL
from worker.runner.report import Report
from worker.wire_types import Json, MediaType

MOST_MISTAKES = 24
MOST_CLASSES_TOLD = 32
"""A larger matrix is in its file only: a result's summary is bounded."""
MOST_NUMBERS_TOLD = 8
"""Of an example that is no picture, in the summary; its file has all."""


@dataclass(frozen=True)
class Mistake:
    """An example of the test split that was taken for another class."""

    place: int
    """In the test split, from 0."""
    true: int
    given: int
    probability: float
    """What the model gave the wrong class, 0..1."""


@dataclass(frozen=True)
class Examined:
    """`confusion` [classes, classes] counts examples by true class (row) and given one (column)."""

    confusion: NDArray[np.int64]
    mistakes: list[Mistake]
    """The wrong ones with the highest probability, highest first; at most MOST_MISTAKES."""

    @classmethod
    def of(cls, y: NDArray[np.int64], outputs: NDArray[Any]) -> Examined:
        """From true classes [n] and logits, or probabilities, [n, classes]."""
        classes = outputs.shape[1]
        given = outputs.argmax(axis=1)
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (y, given), 1)
        sure = _probabilities(outputs)[np.arange(len(y)), given]
        [wrong] = np.nonzero(given != y)
        # Of equal ones the first in the split, on every machine.
        worst = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
        return cls(
            confusion,
            [Mistake(int(i), int(y[i]), int(given[i]), float(sure[i])) for i in worst],
        )

    @property
    def wrong(self) -> int:
        """How many examples were taken for another class."""
        return int(self.confusion.sum() - np.trace(self.confusion))


def classifies(model: Any, data: DataShape, names: tuple[str, ...]) -> bool:
    """Whether a model gives one number a class and is judged by how many it gets right."""
    # A model that is no graph of layers has no shape to tell.
    shape: Any = getattr(model, "output_shape", None)
    return "accuracy" in names and shape == (None, data.classes)


def publish(
    examined: Examined, x: NDArray[np.float32], epoch: int, folder: Path, report: Report
) -> Json:
    """Write and announce the files of what was found; what of it goes into the summary.

    `x` [n, ...] are the test examples, `epoch` is the one whose weights were used. A disk that is
    full costs the files, not the result. Raises OSError for any other failure.
    """
    for name, media_type, content in _files(examined, x, epoch):
        try:
            written = write_file(folder, name, content)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            sys.stderr.write(f"no {name}: {error}\n")
            continue
        report.artifact(written, name, media_type)
    return summary(examined, x)


def summary(examined: Examined, x: NDArray[np.float32]) -> Json:
    """The matrix and the mistakes in small, bounded whatever the data are."""
    classes = len(examined.confusion)
    told: Json = {"wrong": examined.wrong, "tested": int(examined.confusion.sum())}
    if classes <= MOST_CLASSES_TOLD:
        told["confusion"] = examined.confusion.tolist()
    told["mistakes"] = [_told(one, x) for one in examined.mistakes]
    if examined.mistakes and tiles.is_picture(x.shape[1:]):
        told["sheet"] = _sheet(len(examined.mistakes), x.shape[1:])
    return {"examined": told}


def _told(one: Mistake, x: NDArray[np.float32]) -> Json:
    told: Json = {
        "place": one.place,
        "true": one.true,
        "given": one.given,
        "probability": round(one.probability, 4),
    }
    if x.ndim == 2:
        told["x"] = [float(f"{number:.4g}") for number in x[one.place, :MOST_NUMBERS_TOLD]]
    return told


def _files(
    examined: Examined, x: NDArray[np.float32], epoch: int
) -> Iterator[tuple[str, MediaType, bytes]]:
    yield "confusion.json", "application/json", _matrix_file(examined, epoch)
    if not examined.mistakes:
        return
    chosen = x[[one.place for one in examined.mistakes]]
    yield "mistakes.npz", "application/octet-stream", _mistakes_file(examined.mistakes, chosen)
    if tiles.is_picture(x.shape[1:]):
        yield "mistakes.png", "image/png", png.encode(_laid_out(chosen))


def _matrix_file(examined: Examined, epoch: int) -> bytes:
    content = {
        "format": 1,
        "split": "test",
        "best_epoch": epoch,
        "rows": "true class",
        "columns": "given class",
        "matrix": examined.confusion.tolist(),
    }
    return json.dumps(content).encode()


def _mistakes_file(mistakes: list[Mistake], x: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.savez(
        file,
        allow_pickle=False,
        x=x,
        place=np.array([one.place for one in mistakes], np.int64),
        true=np.array([one.true for one in mistakes], np.int64),
        given=np.array([one.given for one in mistakes], np.int64),
        probability=np.array([one.probability for one in mistakes]),
    )
    return file.getvalue()


def _laid_out(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    columns, rows, _ = _counts(len(x), x.shape[1:])
    paper = np.full((rows * columns, *x.shape[1:]), 0.5, np.float32)
    paper[: len(x)] = x[: rows * columns]
    return tiles.lay_out(paper.reshape(rows, columns, *x.shape[1:]))


def _sheet(count: int, shape: tuple[int, ...]) -> Json:
    """Where each mistake lies in `mistakes.png`, row by row, all in its pixels."""
    height, width, _ = shape
    columns, rows, shown = _counts(count, shape)
    size = (rows * (height + tiles.GAP) - tiles.GAP, columns * (width + tiles.GAP) - tiles.GAP)
    zoom = tiles.magnified(size)
    return {
        "columns": columns,
        "shown": shown,
        "size": [size[0] * zoom, size[1] * zoom],
        "tile": [height * zoom, width * zoom],
        "step": [(height + tiles.GAP) * zoom, (width + tiles.GAP) * zoom],
    }


def _counts(count: int, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Columns, rows, and how many of `count` there is room for."""
    height, width, _ = shape
    columns = tiles.columns_for(count, width)
    rows = min(math.ceil(count / columns), (tiles.MOST_SIDE + tiles.GAP) // (height + tiles.GAP))
    return columns, rows, min(count, rows * columns)


def _probabilities(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Of logits; a model with a loss of its own may give probabilities as they are."""
    found = outputs.astype(np.float64)
    if (found >= 0).all() and np.allclose(found.sum(axis=1), 1.0, atol=1e-4):
        return found
    lifted: NDArray[np.float64] = np.exp(found - found.max(axis=1, keepdims=True))
    lifted /= lifted.sum(axis=1, keepdims=True)
    return lifted
