"""Checkpoints: everything that a run needs to go on as if it had never stopped.

An NPZ file without pickle. `header` is JSON text; `model/…`, `optimizer/…` and `best/…` are arrays
in the order of the model's and the optimizer's variables. `best` is there when the best epoch so
far is an earlier one, so that a resumed run needs this one file only. A run that is paused before
its first checkpoint of the plan has no best epoch yet.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from worker.runner.files import Written, sha256_of, write_whole
from worker.runner.reasons import CheckpointBroken
from worker.runner.standing import Standing

FORMAT = 1
Arrays = list[NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state after `epoch` whole epochs."""

    epoch: int
    train_seconds: float
    standing: Standing
    model: Arrays
    optimizer: Arrays
    best: Arrays
    """The model's variables at the best epoch; empty while there is none."""
    layers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """For each layer by name which of the model's variables are its weights."""
    names: tuple[str, ...] = ()
    """Of the arrays of `model` and `best`, where a program made them."""


def save(folder: Path, checkpoint: Checkpoint) -> Written:
    """Write `epoch-NNNNNN.npz`. Raises OSError."""
    header = {
        "format": FORMAT,
        "epoch": checkpoint.epoch,
        "train_seconds": checkpoint.train_seconds,
        "standing": asdict(checkpoint.standing),
        "layers": {name: list(numbers) for name, numbers in checkpoint.layers.items()},
        "names": checkpoint.names,
    }
    arrays = {"header": np.array(json.dumps(header))}
    arrays |= _numbered("model", checkpoint.model) | _numbered("optimizer", checkpoint.optimizer)
    if checkpoint.standing.best_epoch not in (0, checkpoint.epoch):
        arrays |= _numbered("best", checkpoint.best)

    def write(file: BinaryIO) -> None:
        np.savez(file, allow_pickle=False, **arrays)

    return write_whole(folder, f"epoch-{checkpoint.epoch:06d}.npz", write)


def load(path: Path, sha256: str) -> Checkpoint:
    """Read a checkpoint whose digest is known. Raises CheckpointBroken."""
    try:
        found = sha256_of(path)
        if found != sha256:
            raise CheckpointBroken(f"{path.name} has the sha256 {found}, not {sha256}.")
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            if header["format"] != FORMAT:
                raise CheckpointBroken(f"{path.name} is of format {header['format']}.")
            model = _gather(file, "model")
            standing = Standing(**header["standing"])
            is_best = standing.best_epoch == header["epoch"]
            return Checkpoint(
                epoch=header["epoch"],
                train_seconds=header["train_seconds"],
                standing=standing,
                model=model,
                optimizer=_gather(file, "optimizer"),
                best=model if is_best else _gather(file, "best"),
                # Absent in files from before layers could be taken by name.
                layers=header.get("layers", {}),
                # Absent in files from before there were programs.
                names=tuple(header.get("names", ())),
            )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointBroken(f"{path.name}: {error}") from error


def _numbered(group: str, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{group}/{number:05d}": array for number, array in enumerate(arrays)}


def _gather(file: Any, group: str) -> Arrays:
    return [file[name] for name in sorted(file.files) if name.startswith(f"{group}/")]
