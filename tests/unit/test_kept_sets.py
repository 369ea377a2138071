"""Files that people bring, and a data set's examples from what was taken in."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from labpool.catalog import Catalog, DatasetEntry
from labpool.cli import main
from labpool.dataset_form import Splits
from labpool.holdings import Record, held, verify
from labpool.readers import BadData
from labpool.sdk import Unsuitable, kept_examples
from labpool.taking_in import NoFiles, NotThisSet, import_files
from tests.support.hostile import cifar_records, idx, npz, tar_gz, written
from tests.support.runners import CATALOG
from tests.support.small_sets import NAMES, catalog_folder, cifar_file, digits_files
from worker.runner import data

FILES = digits_files()


def entry_of(folder: Path, files: dict[str, bytes] = FILES) -> DatasetEntry:
    root = catalog_folder(folder / "c", files, lambda name: [f"https://mirror.example/{name}"])
    return Catalog.load([root]).datasets["small"]


def arrays_of(files: dict[str, bytes]) -> dict[str, np.ndarray]:
    parts = [gzip.decompress(files[name]) for name in NAMES]
    return {
        "x_train": np.frombuffer(parts[0][16:], np.uint8).reshape(-1, 28, 28),
        "y_train": np.frombuffer(parts[1][8:], np.uint8),
        "x_test": np.frombuffer(parts[2][16:], np.uint8).reshape(-1, 28, 28),
        "y_test": np.frombuffer(parts[3][8:], np.uint8),
    }


def take_in(folder: Path, entry: DatasetEntry, **files: bytes) -> Record:
    paths = [written(folder, name.replace("__", "."), data) for name, data in files.items()]
    return import_files(entry, folder / "d", paths, print)


def test_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = take_in(
        tmp_path, entry_of(tmp_path), **{n.replace(".", "__"): FILES[n] for n in NAMES}
    )
    assert record.pinned and record.origin == "imported" and len(record.taken) == 4
    monkeypatch.setenv("LABPOOL_DATASETS_DIR", str(tmp_path / "d"))
    examples = kept_examples("small")
    data.check(examples, "image")
    arrays = arrays_of(FILES)
    both = np.concatenate([arrays["x_train"], arrays["x_test"]])
    assert np.array_equal((examples.x[..., 0] * 255).round().astype(np.uint8), both)
    assert examples.x.max() == 1.0 and examples.classes == 10


def test_every_form_gives_the_same_holding(tmp_path: Path) -> None:
    entry = entry_of(tmp_path)
    order = [*reversed(NAMES)]
    packed = take_in(tmp_path, entry, **{n.replace(".", "__"): FILES[n] for n in order})
    plain = {n.replace(".", "_"): gzip.decompress(FILES[n]) for n in NAMES}
    other = take_in(tmp_path, entry, **plain)
    archive = take_in(tmp_path, entry, set__npz=npz(**arrays_of(FILES)))
    assert packed.sha256 == other.sha256 == archive.sha256
    assert packed.pinned and other.pinned and archive.pinned, "the content is what is pinned"
    assert verify(tmp_path / "d", "small") == archive


def test_cifar_in_its_three_forms(tmp_path: Path) -> None:
    [(name, content)] = cifar_file().items()
    entry = entry_of(tmp_path, cifar_file())
    one = take_in(tmp_path, entry, **{name.replace(".", "__"): content})
    assert one.pinned, "the archive is the published one"
    batches = {f"data_batch_{n}__bin": cifar_records(20, n - 1) for n in range(1, 6)}
    two = take_in(tmp_path, entry, **batches, test_batch__bin=cifar_records(20, 5))
    rows = np.concatenate([np.frombuffer(cifar_records(20, n), np.uint8) for n in range(6)])
    rows = rows.reshape(120, 3073)
    x = rows[:, 1:].reshape(120, 3, 32, 32).transpose(0, 2, 3, 1)
    y = rows[:, :1]
    three = take_in(
        tmp_path, entry,
        a__npz=npz(x_train=x[:100].copy(), y_train=y[:100], x_test=x[100:].copy(), y_test=y[100:]),
    )  # fmt: skip
    assert one.sha256 == two.sha256 == three.sha256
    assert not two.pinned and not three.pinned, "nothing pins these forms"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda a: {**a, "x_test": a["x_test"] ^ 1}, "has the sha256"),
        (lambda a: {**a, "y_test": a["y_test"][::-1]}, "has the sha256"),
        (lambda a: {**a, "x_test": a["x_test"][1:], "y_test": a["y_test"][1:]}, "by class"),
        (lambda a: {**a, "x_train": a["x_train"] / 255.0, "x_test": a["x_test"] / 255}, "type of"),
        (lambda a: {n: v[:, :27] if n[0] == "x" else v for n, v in a.items()}, "the shape"),
        (
            lambda a: {
                "x": np.concatenate([a["x_train"], a["x_test"]]),
                "y": np.concatenate([a["y_train"], a["y_test"]]),
            },
            "examples of the test set",
        ),
    ],
)
def test_another_set_is_refused_and_what_is_held_stays(
    tmp_path: Path, spoil: object, says: str
) -> None:
    entry = entry_of(tmp_path)
    first = take_in(tmp_path, entry, set__npz=npz(**arrays_of(FILES)))
    with pytest.raises(NotThisSet, match=says):
        take_in(tmp_path, entry, set__npz=npz(**spoil(arrays_of(FILES))))  # type: ignore[operator]
    assert held(tmp_path / "d", "small")[1] == first


def test_what_is_no_data_is_refused(tmp_path: Path) -> None:
    entry = entry_of(tmp_path)
    with pytest.raises(NotThisSet, match="four IDX files, or one NPZ"):
        take_in(tmp_path, entry, one=idx(np.zeros(3, np.uint8)))
    with pytest.raises(NotThisSet, match="two hold images"):
        take_in(tmp_path, entry, **{f"f{n}": idx(np.zeros(3, np.uint8)) for n in range(4)})
    with pytest.raises(BadData, match="is no zip file"):
        take_in(tmp_path, entry, a__npz=b"\x80\x04\x95 a pickle, say, and long enough")
    with pytest.raises(NotThisSet, match="data_batch_1 to _5"):
        small = entry_of(tmp_path / "2", cifar_file())
        take_in(tmp_path, small, a__gz=tar_gz(("data_batch_1.bin", cifar_records(20))))
    with pytest.raises(NoFiles, match="can be run as it is"):
        import_files(CATALOG.datasets["digits"], tmp_path, [tmp_path], print)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = CliRunner().invoke(main, ["data", "import", "mnist", str(tmp_path / "mnist.npz")])
    assert said.exit_code == 2 and "mnist.npz' does not exist" in said.output


def test_images_and_labels_that_fit_only_together_are_refused(tmp_path: Path) -> None:
    files = {
        f"f{n}": idx(np.arange(16 * size, dtype=np.uint8).reshape(-1, 4, 4) % 2)
        if images
        else idx(np.arange(size, dtype=np.uint8) % 2)
        for n, (images, size) in enumerate(((True, 12), (True, 8), (False, 15), (False, 5)))
    }
    with pytest.raises(BadData, match="15 labels for 12 examples"):
        take_in(tmp_path, entry_of(tmp_path), **files)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_run_without_the_files_says_both_ways(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABPOOL_DATASETS_DIR", str(tmp_path))
    with pytest.raises(Unsuitable) as caught:
        kept_examples(name)
    assert f"labpool data fetch {name}" in str(caught.value)
    assert f"labpool data import {name}" in str(caught.value)


@pytest.mark.parametrize(("name", "test"), [("mnist", 10_000), ("cifar10", 10_000)])
def test_the_authors_test_set_is_the_test_split(name: str, test: int) -> None:
    entry = CATALOG.datasets[name]
    assert entry.files is not None and entry.files.test == test
    assert round(entry.files.examples * entry.splits.test) == test


def test_a_fixed_test_split_is_the_end_and_the_rest_is_drawn() -> None:
    from labpool.sdk import Examples

    numbered = Examples(
        np.arange(100, dtype=np.float32).reshape(-1, 1), np.zeros(100, np.int64), classes=2
    )
    splits = data.split(numbered, Splits(seed=3, validation=0.2, test=0.1, test_is_last=True))
    assert splits.test.x.ravel().tolist() == list(range(90, 100))
    rest = [*splits.validation.x.ravel(), *splits.training.x.ravel()]
    assert sorted(rest) == list(range(90)) and rest != sorted(rest)
