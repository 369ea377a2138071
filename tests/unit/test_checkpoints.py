"""Checkpoints: whole or not there, and never unpickled."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.runner import checkpoints, files
from worker.runner.checkpoints import Checkpoint
from worker.runner.reasons import CheckpointBroken, classify
from worker.runner.standing import Standing


def some(*shapes: tuple[int, ...], seed: int = 0) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape, dtype=np.float32) for shape in shapes]


def checkpoint_of(epoch: int, best_epoch: int) -> Checkpoint:
    return Checkpoint(
        epoch=epoch,
        train_seconds=1.5,
        standing=Standing(best_epoch, 0.9, 0.1, best_epoch, 0.9, 0.1),
        model=some((3, 2), (2,), ()),
        optimizer=[np.array(7, np.int64), *some((3, 2))],
        best=some((3, 2), (2,), (), seed=1),
    )


def equal(one: list[NDArray[np.float32]], two: list[NDArray[np.float32]]) -> bool:
    return len(one) == len(two) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("best_epoch", [2, 4])
def test_what_was_saved_comes_back(tmp_path: Path, best_epoch: int) -> None:
    saved = checkpoint_of(4, best_epoch)
    written = checkpoints.save(tmp_path, saved)
    assert (written.name, written.bytes) == (
        "epoch-000004.npz",
        (tmp_path / "epoch-000004.npz").stat().st_size,
    )
    loaded = checkpoints.load(tmp_path / written.name, written.sha256)
    assert (loaded.epoch, loaded.train_seconds, loaded.standing) == (4, 1.5, saved.standing)
    assert equal(loaded.model, saved.model) and equal(loaded.optimizer, saved.optimizer)
    # The best epoch's own checkpoint holds its weights once.
    assert equal(loaded.best, saved.model if best_epoch == 4 else saved.best)


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    model = some(*[(n + 1,) for n in range(25)])
    written = checkpoints.save(tmp_path, Checkpoint(1, 0.0, Standing(1), model, [], []))
    assert equal(checkpoints.load(tmp_path / written.name, written.sha256).model, model)


def test_equal_states_make_equal_files(tmp_path: Path) -> None:
    one = checkpoints.save(tmp_path, checkpoint_of(4, 4))
    two = checkpoints.save(tmp_path, checkpoint_of(4, 4))
    assert one.sha256 == two.sha256


def test_another_digest_is_refused_by_both_names(tmp_path: Path) -> None:
    written = checkpoints.save(tmp_path, checkpoint_of(1, 1))
    with pytest.raises(CheckpointBroken, match=written.sha256):
        checkpoints.load(tmp_path / written.name, "0" * 64)


@pytest.mark.parametrize("size", [0, 10, 200])
def test_a_cut_file_is_refused(tmp_path: Path, size: int) -> None:
    written = checkpoints.save(tmp_path, checkpoint_of(1, 1))
    file = tmp_path / written.name
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(CheckpointBroken, match="epoch-000001"):
        checkpoints.load(file, files.sha256_of(file))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointBroken):
        checkpoints.load(tmp_path / "epoch-000001.npz", "0" * 64)


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    header = json.dumps({"format": 1, "epoch": 1, "train_seconds": 0.0, "standing": {}})
    file = tmp_path / "epoch-000001.npz"
    trap = np.array([Trap()], dtype=object)
    np.savez(file, allow_pickle=True, header=np.array(header), **{"model/00000": trap})
    with pytest.raises(CheckpointBroken, match="pickle"):
        checkpoints.load(file, files.sha256_of(file))
    assert not (tmp_path / "sprung").exists()


def test_another_format_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "epoch-000001.npz"
    np.savez(file, header=np.array(json.dumps({"format": 2})))
    with pytest.raises(CheckpointBroken, match="format 2"):
        checkpoints.load(file, files.sha256_of(file))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    def good(file: BinaryIO) -> None:
        file.write(b"whole")

    def full(file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write_whole(tmp_path, "state", good)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(tmp_path, "state", full)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert (tmp_path / "state").read_bytes() == b"whole"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_fault_of_the_trial(number: int) -> None:
    assert classify(OSError(number, "No space left on device"))[0] == "disk_full"
    assert classify(OSError(errno.EIO, "Input/output error"))[0] == "internal"
