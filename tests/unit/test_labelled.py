"""Arrays to labelled examples; and files spoilt at random, which crash nothing."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labpool.readers import BadData, Labelled, Limits, from_files, labelled, read_cifar
from tests.support.hostile import cifar_records, idx, npz, tar_gz, written

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 4), dtype=np.uint8)
LABELS = (np.arange(20) % 4).astype(np.uint8)
SMALL = Limits(file_bytes=1 << 20, array_bytes=1 << 20, examples=10_000, classes=50)


def examples_of(folder: Path, **arrays: Any) -> Labelled:
    return from_files([written(folder, "given.npz", npz(**arrays))], SMALL)


def test_it_works(tmp_path: Path) -> None:
    images = written(tmp_path, "a-images.gz", gzip.compress(idx(IMAGES)))
    labels = written(tmp_path, "a-labels", idx(LABELS))
    one, other = from_files([images, labels]), from_files([labels, images])
    assert one == other, "the order of the files does not matter"
    assert (one.kind, one.shape, one.classes, one.counts) == ("image", (5, 4, 1), 4, [5] * 4)
    assert one.x.tobytes() == IMAGES.tobytes()


def test_training_and_test_files_are_joined_and_told_apart(tmp_path: Path) -> None:
    found = examples_of(
        tmp_path, x_train=IMAGES[:15], y_train=LABELS[:15], x_test=IMAGES[15:], y_test=LABELS[15:]
    )
    assert (len(found.y), found.test) == (20, 5)
    assert found.x.tobytes() == IMAGES.tobytes()


def test_vectors_and_colour_and_fractions(tmp_path: Path) -> None:
    vectors = examples_of(tmp_path, data=np.arange(60.0).reshape(20, 3), target=LABELS)
    assert (vectors.kind, vectors.shape, vectors.x.typecode) == ("vector", (3,), "f")
    colour = examples_of(tmp_path, images=np.zeros((20, 2, 2, 3), np.int64), labels=LABELS[:, None])
    assert (colour.shape, colour.x.typecode) == ((2, 2, 3), "B")
    fractions = examples_of(tmp_path, x=IMAGES / 255.0, y=LABELS)
    assert fractions.x.typecode == "f" and max(fractions.x) <= 1.0


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"a": IMAGES, "y": LABELS}, "holds a, y; it needs x and y"),
        ({"x": IMAGES, "y": LABELS[:-1]}, "19 labels for 20 examples"),
        ({"x": IMAGES[:9], "y": LABELS[:9]}, "at least 10 are needed"),
        ({"x": IMAGES, "y": IMAGES}, "labels have the shape [n]"),
        ({"x": LABELS, "y": LABELS}, "x has the shape [20]"),
        ({"x": IMAGES, "y": LABELS + 0.5}, "whole numbers"),
        ({"x": IMAGES, "y": LABELS.astype(int) - 1}, "labels lie in -1..2"),
        ({"x": IMAGES, "y": LABELS.astype(int) * 50}, "labels lie in 0..150"),
        ({"x": IMAGES, "y": LABELS * 2}, "no example of class 1"),
        ({"x": IMAGES, "y": LABELS * 0}, "only one class"),
        ({"x": IMAGES / 200.0, "y": LABELS}, "fractions 0..1, not 0.."),
        ({"x": IMAGES.astype(int) * 2, "y": LABELS}, "bytes 0..255 or fractions"),
        ({"x": np.zeros((20, 3, 8, 8), np.uint8), "y": LABELS}, "put the channels last"),
        ({"x": np.zeros((20, 1, 1025), np.uint8), "y": LABELS}, "at most 1024 a side"),
        ({"x": np.full((20, 2), 1e300), "y": LABELS}, "holds inf"),
        ({"x": np.zeros((20, 40_000), np.uint8), "y": LABELS}, "bytes as numbers of four"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, 1:], "y_test": LABELS},
            "which member 'x_train.npy' is not",
        ),
        (
            {
                "x_train": IMAGES[:15],
                "y_train": LABELS[:12],
                "x_test": IMAGES[15:],
                "y_test": LABELS[12:],
            },
            "member 'y_train.npy': 12 labels for 15 examples",
        ),
        ({"x": IMAGES, "X": IMAGES, "y": LABELS}, "names that differ in capitals alone"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: Any, says: str) -> None:
    with pytest.raises(BadData) as caught:
        examples_of(tmp_path, **arrays)
    assert says in str(caught.value)


def test_answers_that_would_fill_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelled, "MOST_ANSWERS", 80)
    assert len(examples_of(tmp_path, x=IMAGES, y=LABELS).y) == 20
    monkeypatch.setattr(labelled, "MOST_ANSWERS", 79)
    with pytest.raises(BadData, match=r"20 examples in 4 classes; of so many .* at most 19"):
        examples_of(tmp_path, x=IMAGES, y=LABELS)


def test_a_wrong_number_of_files_is_refused(tmp_path: Path) -> None:
    one = written(tmp_path, "one", idx(IMAGES))
    for files in ([one], [one] * 3, [one, written(tmp_path, "a.npz", npz(x=IMAGES))], []):
        with pytest.raises(BadData, match=r"give|given"):
            from_files(files)


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("\0a", "U+0000"),
        ("\x1b[31mb", "U+001B"),
        ("a\tb", "U+0009"),
        ("a\x0b", "U+000B"),
        ("a\x7f", "U+007F"),
        ("\u202eabc", "U+202E"),
        ("a\u2028b", "U+2028"),
    ],
)
def test_a_label_that_would_not_be_shown_as_it_is_is_refused(
    tmp_path: Path, label: str, found: str
) -> None:
    rows = [f"{n},{'ab'[n % 2]},{n}" for n in range(20)]
    content = "\n".join(["size,label,more", *rows, f"1,{label},2"]).encode()
    with pytest.raises(BadData) as caught:
        from_files([written(tmp_path, "t.csv", content)])
    assert f"t.csv: line 22: column 2: the label holds {found}" in str(caught.value)
    assert label not in str(caught.value)


def test_labels_are_of_any_script(tmp_path: Path) -> None:
    names = ["Löwenzahn", "می‌خواهم", "蒲公英", "👩‍🔬", "two words"]
    rows = [f"{n}, {names[n % 5]} " for n in range(20)]
    found = from_files([written(tmp_path, "t.csv", "\r\n".join(rows).encode())])
    assert found.class_names == sorted(names)


@pytest.mark.parametrize(
    ("first", "examples", "classes"),
    [("0,1,label", 20, 2), ("a,b,c", 20, 2), ("7,8,y", 21, 3), ("0,1,2", 21, 3)],
)
def test_a_line_of_names_is_no_example(
    tmp_path: Path, first: str, examples: int, classes: int
) -> None:
    rows = [f"{n},{n / 2},{n % 2}" for n in range(20)]
    found = from_files([written(tmp_path, "t.csv", "\n".join([first, *rows]).encode())])
    assert (len(found.y), found.classes) == (examples, classes)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0,1,2,3", "line 1: counts the columns. Take it out, or name"),
        ("1,2,3,0\n1,-1e39,3,0", "line 2: column 2 holds '-1e39', too large for four bytes"),
    ],
)
def test_a_table_that_would_be_taken_for_another_is_refused(
    tmp_path: Path, line: str, says: str
) -> None:
    rows = [f"{n},{n},{n},{n % 2}" for n in range(20)]
    with pytest.raises(BadData) as caught:
        from_files([written(tmp_path, "t.csv", "\n".join([line, *rows]).encode())])
    assert says in str(caught.value)


TABLE = b"a,b,label\n" + b"1.5,2,x\n-3,4e2,y\n" * 8
VALID = {
    "given.npz": npz(False, x=IMAGES, y=LABELS),
    "packed.npz": npz(True, x=IMAGES / 255, y=LABELS),
    "given.csv": TABLE,
    "given-idx": idx(IMAGES),
    "given-idx.gz": gzip.compress(idx(IMAGES)),
    "cifar.tar.gz": tar_gz(("data_batch_1.bin", cifar_records(12))),
    "data_batch_1.bin": cifar_records(12),
}


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_file_spoilt_anywhere_is_read_or_refused_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    content = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        match data.draw(st.sampled_from(["set", "cut", "add", "swap", "head"])):
            case "set":
                content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del content[at : at + data.draw(st.integers(1, 64))]
            case "add":
                content[at:at] = data.draw(st.binary(max_size=40))
            case "swap":
                content[at : at + 4] = data.draw(st.sampled_from([b"\xff" * 4, bytes(4), b"\x7f"]))
            case "head":
                place = min(at % 256, len(content))
                content[place : place + 2] = data.draw(st.binary(min_size=2, max_size=2))
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), name, bytes(content))
        labels = written(Path(folder), "labels", idx(LABELS))
        with contextlib.suppress(BadData):
            if "cifar" in name or "batch" in name:
                read_cifar(path, SMALL)
            else:
                from_files([path, labels] if "idx" in name else [path], SMALL)
