"""What a model draws while it trains: a grid of samples now and then, as PNG."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labpool.model_form import Pictures
from worker.runner import backend, png, tiles
from worker.runner.digests import digest_of_weights
from worker.runner.files import write_file
from worker.runner.network import Network
from worker.runner.reasons import DISK_FULL, EntryBroken
from worker.runner.report import Report

MOST_GRIDS = 24
"""Of one trial, the first and the last among them; each is bounded by `tiles.MOST_SIDE`."""


@dataclass(frozen=True)
class Samples:
    """How a model draws: from itself and a seed, images [rows, columns, h, w, c]."""

    draw: Callable[[Any, int], Any]
    every_epochs: int


def due_epochs(epochs: int, every: int) -> frozenset[int]:
    """After which epochs of a plan samples are drawn: the first, every so many, the last.

    It depends on the plan alone, so a run that is resumed draws after the same epochs as one that
    was never stopped. Where there would be more than MOST_GRIDS, it is every second of them, or
    every third, and so on.
    """
    stride = every
    while epochs // stride > MOST_GRIDS - 2:
        stride += every
    return frozenset({1, epochs, *range(stride, epochs + 1, stride)})


def samples_of(
    code: ModuleType, toml: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Samples | None:
    """How the model draws; None when it does not.

    Raises EntryBroken when `model.toml` wants pictures of a model that draws none.
    """
    offered = getattr(code, "samples", None)
    if offered is not None:
        every = Pictures.model_validate(toml.get("pictures", {})).every_epochs
        return Samples(lambda model, seed: offered(parameters, model, seed), every)
    if "pictures" in toml:
        raise EntryBroken("model.toml has [pictures], and model.py has no samples.")
    return None


class SamplePictures:
    """The pictures of one run, written to a folder and told to the slot.

    Drawing is no part of training: it must leave every variable of the model as it was.
    """

    def __init__(
        self, samples: Samples, epochs: int, seed: int, device: backend.Device, folder: Path
    ) -> None:
        """`epochs` are the plan's, `seed` is the trial's."""
        self._draw, self._seed = samples.draw, seed
        self._due = due_epochs(epochs, samples.every_epochs)
        self._device, self._folder = device, folder
        self._drawn_at = 0

    def after(self, epoch: int, network: Network, report: Report, is_last: bool) -> None:
        """Draw if a picture is due after `epoch`. Raises EntryBroken, OSError.

        A disk that is full costs the picture, not the trial: its checkpoint decides about that.
        """
        if self._drawn_at == epoch or not (is_last or epoch in self._due):
            return
        self._drawn_at = epoch
        content = png.encode(self._grid(network))
        try:
            written = write_file(self._folder, f"samples-{epoch:06d}.png", content)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            sys.stderr.write(f"no picture of epoch {epoch}: {error}\n")
            return
        report.artifact(written, written.name, "image/png")

    def _grid(self, network: Network) -> NDArray[np.uint8]:
        before = digest_of_weights(network.weights())
        with backend.on(self._device):
            images = np.asarray(self._draw(network.model, self._seed))
        if digest_of_weights(network.weights()) != before:
            raise EntryBroken(
                "samples changed a variable of the model, so drawing would change the training. "
                "Draw noise from the seed it is given, by stateless operations."
            )
        return _laid_out(images)


def _laid_out(images: NDArray[Any]) -> NDArray[np.uint8]:
    has_shape = images.ndim == 5 and images.size > 0 and images.shape[-1] in (1, 3)
    if images.dtype != np.float32 or not has_shape:
        raise EntryBroken(
            "samples must give float32 [rows, columns, h, w, 1 or 3], not "
            f"{images.dtype} {list(images.shape)}."
        )
    if not np.isfinite(images).all():
        raise EntryBroken("samples gave numbers that are not finite.")
    try:
        return tiles.lay_out(images)
    except ValueError as error:
        raise EntryBroken(f"samples: {error}.") from None
