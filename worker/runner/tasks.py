"""What a model is to find out of each example: the targets of its task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labpool.catalog import Task
from labpool.sdk import DataShape, Examples
from worker.runner.reasons import EntryBroken

BOX: Final = 4
"""Numbers of a box: centre x, centre y, width, height, as shares of the picture."""
# Sums of shares that single precision has rounded.
_ROUNDING: Final = 1e-5
_FIELDS: Final[Mapping[Task, str]] = {
    "classification": "y",
    "localisation": "boxes",
    "segmentation": "masks",
}


def check(examples: Examples) -> None:
    """Refuse boxes and masks that are none. `x` and `y` must be good. Raises EntryBroken."""
    if examples.boxes is not None:
        _check_boxes(examples.boxes, len(examples.y))
    if examples.masks is not None:
        _check_masks(examples.masks, examples.x.shape, examples.classes)


def targets(examples: Examples, task: Task) -> NDArray[Any]:
    """What the loss compares with: class numbers int64 [n]; class number and box float32 [n, 5];
    the label of each pixel int64 [n, height, width].

    Raises EntryBroken when the examples have none.
    """
    field = _FIELDS[task]
    if getattr(examples, field) is None:
        raise EntryBroken(f"its tasks name {task}, and load gives no {field}.")
    if task == "localisation":
        numbers = examples.y.astype(np.float32)[:, None]
        return np.concatenate([numbers, np.asarray(examples.boxes)], axis=1)
    return np.asarray(getattr(examples, field))


def classes(examples: Examples | DataShape, task: Task) -> int:
    """How many labels the task tells apart; a pixel can be background too."""
    return examples.classes + 1 if task == "segmentation" else examples.classes


def with_pictures(examples: Examples, x: NDArray[np.float32]) -> Examples:
    """The examples with `x` as a model takes them, pictures perhaps of another size.

    Each pixel of a mask takes the label of the one that its centre lies in. Boxes are shares.
    """
    masks = examples.masks
    if masks is not None and x.ndim == 4 and x.shape[1:3] != masks.shape[1:]:
        rows, columns = (
            _nearest(old, new) for old, new in zip(masks.shape[1:], x.shape[1:3], strict=True)
        )
        masks = np.ascontiguousarray(masks[:, rows[:, None], columns])
    return replace(examples, x=x, masks=masks)


def check_outputs(found: tuple[int | None, ...], data: DataShape) -> None:
    """Refuse outputs [batch, ...] that are no answer to the task. Raises EntryBroken."""
    if data.task == "segmentation":
        wanted, meaning = (*data.shape[:2], data.classes), "the logits of each pixel"
    elif data.task == "localisation":
        wanted, meaning = (data.classes + BOX,), f"{data.classes} logits and a box"
    else:
        wanted, meaning = (data.classes,), "logits"
    if found[1:] != wanted:
        shown = ", ".join(str(length) for length in wanted)
        raise EntryBroken(f"the model gives {found}, not (batch, {shown}): {meaning}.")


def _check_boxes(boxes: NDArray[Any], count: int) -> None:
    if boxes.dtype != np.float32 or boxes.shape != (count, BOX):
        raise EntryBroken(
            f"boxes must be float32 of shape ({count}, {BOX}), not {boxes.dtype} {boxes.shape}."
        )
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    inside = (centres - sizes / 2 >= -_ROUNDING) & (centres + sizes / 2 <= 1 + _ROUNDING)
    # Written so that what is not a number is wrong too.
    bad = ~((sizes > 0) & inside).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise EntryBroken(
            "boxes are centre x, centre y, width, height as shares of the picture, within it; that "
            f"of example {first} is {boxes[first].tolist()}."
        )


def _check_masks(masks: NDArray[Any], pictures: tuple[int, ...], classes: int) -> None:
    if masks.dtype != np.int64 or masks.shape != pictures[:-1]:
        raise EntryBroken(
            f"masks must be int64 of shape {pictures[:-1]}, as the pictures have it, not "
            f"{masks.dtype} {masks.shape}."
        )
    if masks.min() < 0 or masks.max() > classes:
        raise EntryBroken(
            f"masks hold {masks.min()}..{masks.max()}; 0 is background, 1..{classes} are classes."
        )


def _nearest(old: int, new: int) -> NDArray[np.int64]:
    """[new]: which old pixel the centre of each new one lies in, along one side."""
    return ((2 * np.arange(new) + 1) * old) // (2 * new)
