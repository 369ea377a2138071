"""Data files that nobody has checked: good ones are read, the others refused with the reason."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labpool.readers import (
    BadData,
    Limits,
    RawArray,
    from_files,
    read_cifar,
    read_csv,
    read_idx,
    read_npz,
)
from labpool.readers.keeping import read, write
from tests.support.hostile import (
    cifar_records,
    gzip_bomb,
    idx,
    npy,
    npz,
    tar_gz,
    written,
    zipped,
)

MIB = 1024 * 1024
SMALL = Limits(file_bytes=MIB, array_bytes=4 * MIB)
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 5, 4), dtype=np.uint8)
LABELS = (np.arange(20) % 4).astype(np.uint8)


def _without_bytes(value: object) -> str | None:
    # Packed files hold the time, and every process must call its tests the same.
    return "content" if isinstance(value, bytes) else None


def as_numpy(found: RawArray) -> Any:
    return np.array(found.values).reshape(found.shape)


def refusal(read_it: Any, path: Path, limits: Limits = SMALL) -> str:
    with pytest.raises(BadData) as caught:
        read_it(path, limits)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "int32", "float32"])
@pytest.mark.parametrize("packed", [False, True])
def test_it_works(tmp_path: Path, kind: str, packed: bool) -> None:
    values = np.arange(-6 if kind != "uint8" else 0, 18 if kind != "uint8" else 24)
    values = values.reshape(2, 3, 4).astype(kind)
    content = gzip.compress(idx(values)) if packed else idx(values)
    found = read_idx(written(tmp_path, "a-idx3", content))
    assert found.shape == (2, 3, 4)
    assert np.array_equal(as_numpy(found), values)


@pytest.mark.parametrize(
    "kind", ["bool", "uint8", "int8", "<u2", ">i2", "<u4", ">i4", "<i8", ">u8", "<f4", ">f4", "<f8"]
)
def test_numpys_own_files_are_read(tmp_path: Path, kind: str) -> None:
    values = np.arange(24).reshape(4, 6).astype(kind)
    for compressed in (False, True):
        found = read_npz(written(tmp_path, "a.npz", npz(compressed, some=values)))
        assert np.array_equal(
            as_numpy(found["some"]), values.astype(values.dtype.newbyteorder("="))
        )


def test_a_table_with_names_and_words_for_classes(tmp_path: Path) -> None:
    text = "width,species,height\n" + "1,rose,2.5\n3,aster,-4e-1\n" * 6
    x, y, names = read_csv(written(tmp_path, "flowers.csv", text.encode()))
    assert names == ["aster", "rose"]
    assert as_numpy(x)[:2].tolist() == [[1, 2.5], [3, np.float32(-0.4)]]
    assert y.values[:4].tolist() == [1, 0, 1, 0]


def test_a_table_of_numbers_alone_ends_in_the_label(tmp_path: Path) -> None:
    text = "\n".join(f"{n},{n / 3},{n % 12}" for n in range(24))
    x, y, names = read_csv(written(tmp_path, "n.csv", text.encode()))
    assert x.shape == (24, 2) and y.values.tolist() == [n % 12 for n in range(24)]
    assert names == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends inside the magic number"),
        (b"\x01\x02\x08\x03" + bytes(12), "byte 0: begins with 01 02 08 03, which is not IDX"),
        (b"\0\0\x08\x00", "byte 3: declares 0 dimensions"),
        (b"\0\0\x08\xff" + bytes(2000), "byte 3: declares 255 dimensions"),
        (b"\0\0\x08\x03\0\0", "ends inside the shape"),
        (idx(IMAGES)[:-1], "declares the shape (20, 5, 4), 400 bytes, and 399 follow"),
        (idx(IMAGES) + b"x", "400 bytes, and 401 follow"),
        (struct.pack(">4B3I", 0, 0, 14, 3, *[2**32 - 1] * 3), "at most 4194304 are read"),
        (struct.pack(">4B1I", 0, 0, 8, 1, 0), "or none"),
        (idx(np.array([1, np.nan], np.float32)), "holds nan in row 1"),
        (idx(np.array([-np.inf], np.float32)), "holds -inf in row 0"),
        (gzip.compress(idx(IMAGES))[:-9], "is cut off"),
        (gzip.compress(idx(IMAGES) + b"more"), "has bytes after the end of its numbers"),
        (gzip.compress(idx(IMAGES)) + b"more", "after the end of its gzip data"),
        (gzip.compress(idx(IMAGES)) * 2, "after the end of its gzip data"),
        (gzip.compress(idx(IMAGES)[:-3]), "ends 3 bytes before the (20, 5, 4) numbers"),
        (b"\x1f\x8b\x08" + bytes(40), "is damaged"),
        (gzip.compress(struct.pack(">4B2I", 0, 0, 8, 2, 2000, 2000)), "and at most"),
        (bytes(MIB + 1), "at most 1048576 are read"),
    ],
    ids=_without_bytes,
)
def test_a_spoilt_idx_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refusal(read_idx, written(tmp_path, "bad-idx3", content))


def header(descr: str, shape: str = "(4,)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


FOUR = np.zeros(4, np.uint8)
LIE = zipped(("x.npy", npy(FOUR)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "too short"),
        (b"no zip at all, but longer than an end", "is no zip file"),
        (npy(FOUR) + bytes(40), "a single NPY array; save with np.savez"),
        (LIE[:-4], "cut off or damaged"),
        (LIE + b"x", "after its end"),
        (b"before" + LIE, "not where it should be"),
        (zipped(("x.npy", npy(FOUR)[:-1])), "declares the shape (4,), 4 bytes, and 3 follow"),
        (zipped(("x.npy", npy(FOUR) + b"x")), "4 bytes, and 5 follow"),
        (zipped(("x.npy", b"nothing of it")), "is not an NPY array"),
        (zipped(("x.npy", b"\x93NUMPY\x09\x00" + bytes(9))), "is not an NPY array"),
        (zipped(("x.npy", npy(FOUR, header("'|O'")))), "array of objects"),
        (zipped(("x.npy", npy(FOUR, header("'<U4'")))), "holds 'U4'; numbers of the types"),
        (zipped(("x.npy", npy(FOUR, header("'<f2'")))), "holds 'f2'"),
        (zipped(("x.npy", npy(FOUR, header("[('a', '<f4')]")))), "no plain array"),
        (zipped(("x.npy", npy(FOUR, "__import__('os').abort()"))), "no plain array"),
        (zipped(("x.npy", npy(FOUR, header("'|u1'", "(2, 2)", "True")))), "Fortran order"),
        (zipped(("x.npy", npy(FOUR, header("'|u1'", "()")))), "0 dimensions"),
        (zipped(("x.npy", npy(FOUR, header("'|u1'", "(1, 1, 1, 1, 4)")))), "5 dimensions"),
        (zipped(("x.npy", npy(FOUR, header("'<f8'", "(99999999999999999999, 9)")))), "at most"),
        (zipped(("x.npy", npy(FOUR, header("'|u1'", "(0,)")))), "or none"),
        (zipped(("x.npy", npy(np.array([1.0, np.inf])))), "holds inf in row 1"),
        (zipped(("x.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 10**9))), "declares a header"),
        (zipped(("../x.npy", npy(FOUR))), "without folders"),
        (zipped(("/x.npy", npy(FOUR))), "without folders"),
        (zipped(("x.txt", b"hello")), "is no array"),
        (zipped(("x.npy", b"/etc/passwd"), mode=0o120777), "is a link"),
        (zipped(("x.npy", npy(FOUR)), method=zipfile.ZIP_LZMA), "packed in a way"),
        (zipped(*[(f"a{n}.npy", npy(FOUR)) for n in range(17)]), "holds 17 members"),
        (zipped(("x.npy", bytes(64 * MIB))), "at most 4194304 are read"),
    ],
    ids=_without_bytes,
)
def test_a_spoilt_npz_file_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refusal(read_npz, written(tmp_path, "bad.npz", content))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice_or_over_another_is_refused(tmp_path: Path) -> None:
    twice = zipped(("x.npy", npy(FOUR)), ("x.npy", npy(FOUR)))
    assert "is there twice" in refusal(read_npz, written(tmp_path, "bad.npz", twice))
    two = zipped(("x.npy", npy(FOUR)), ("y.npy", npy(FOUR)), method=0)
    second = two.rindex(b"PK\x01\x02")
    over = two[: second + 42] + struct.pack("<I", 0) + two[second + 46 :]
    assert "over another" in refusal(read_npz, written(tmp_path, "bad.npz", over))


def test_a_declared_size_that_cannot_be_is_refused(tmp_path: Path) -> None:
    at = LIE.rindex(b"PK\x01\x02")
    lie = LIE[: at + 24] + struct.pack("<I", 3 * MIB) + LIE[at + 28 :]
    assert "which cannot be" in refusal(read_npz, written(tmp_path, "bad.npz", lie))


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(("x.npy", npy(FOUR)), method=0))
    content[content.index(b"x.npy") + 5 + 128] ^= 1
    assert "CRC" in refusal(read_npz, written(tmp_path, "bad.npz", bytes(content)))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no rows"),
        (b"a,b\n", "holds no rows"),
        (b"1\n2\n", "line 1: has one column"),
        (b"1,2\n1\n", "line 2: has 1 columns, the first line 2"),
        (b"a,label\n1,0\nx,1\n", "line 3: column 1 holds 'x', no number"),
        (b"1,0\nnan,1\n", "line 2: column 1 holds 'nan'"),
        (b"1,0\n1e999,1\n", "holds '1e999'"),
        (b"1,0\n1_0,1\n", "holds '1_0'"),
        ("1,0\n١,1\n".encode(), "holds '١'"),
        (b"1,0\n2,\n", "line 2: has no label"),
        (b"1,0\n2,\xff\n", "line 2: is not UTF-8"),
        (b"1,0\n" + b"1," * 200_000, "line 2: is longer than"),
        (b'1,0\n"2,1\n', "line 2: is no line of CSV"),
        (b"\n".join(b"1,%d" % n for n in range(1001)), "line 1001: has a class too many"),
        (b"," * 17_000, "has 17001 columns"),
    ],
    ids=_without_bytes,
)
def test_a_spoilt_table_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refusal(read_csv, written(tmp_path, "bad.csv", content))


def test_cifar_is_read_from_the_archive_and_from_a_batch(tmp_path: Path) -> None:
    records = cifar_records(30)
    archive = tar_gz(
        ("cifar-10-batches-bin/readme.html", b"<p>"),
        ("cifar-10-batches-bin/data_batch_1.bin", records),
        ("cifar-10-batches-bin/test_batch.bin", cifar_records(10, 1)),
    )
    found = read_cifar(written(tmp_path, "c.tar.gz", archive), SMALL)
    assert sorted(found) == ["data_batch_1", "test_batch"]
    x, y = found["data_batch_1"]
    rows = np.frombuffer(records, np.uint8).reshape(30, 3073)
    assert np.array_equal(as_numpy(x), rows[:, 1:].reshape(30, 3, 32, 32).transpose(0, 2, 3, 1))
    assert y.values.tolist() == rows[:, 0].tolist()
    alone = read_cifar(written(tmp_path, "data_batch_1.bin", records), SMALL)
    assert alone["data_batch_1"][0].values == x.values


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (tar_gz(("data_batch_1.bin", cifar_records(3)), link="x"), "is a link, which is never"),
        (tar_gz(("../data_batch_1.bin", cifar_records(3))), "outside of the archive's folder"),
        (tar_gz(("/data_batch_1.bin", cifar_records(3))), "outside of the archive's folder"),
        (tar_gz(("data_batch_1.bin", cifar_records(3)[:-1])), "no whole number of records"),
        (tar_gz(("data_batch_1.bin", b"")), "no whole number of records"),
        (tar_gz(*[(f"{n}.txt", b"") for n in range(70)]), "more than 64 members"),
        (gzip.compress(b"x" * 600), "is no tar header"),
        (gzip.compress(bytes(100)), "ends inside a tar header"),
        (tar_gz(("data_batch_1.bin", cifar_records(30)))[:-500], "is cut off"),
        (b"\x80\x04\x95 a pickle", "is neither cifar-10-binary.tar.gz nor"),
    ],
    ids=_without_bytes,
)
def test_a_spoilt_cifar_archive_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    assert says in refusal(read_cifar, written(tmp_path, "bad.tar.gz", content))


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    assert "is not a plain file" in refusal(read_idx, tmp_path)
    import os

    os.mkfifo(tmp_path / "pipe")
    assert "is not a plain file" in refusal(read_idx, tmp_path / "pipe")
    assert "cannot be opened" in refusal(read_idx, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("read_it", "name", "content"),
    [
        (read_idx, "bomb.gz", gzip_bomb(64 * MIB)),
        (
            read_idx,
            "lie.gz",
            gzip.compress(struct.pack(">4B1I", 0, 0, 8, 1, 4 * MIB) + bytes(600 * 1024)),
        ),
        (read_npz, "bomb.npz", zipped(("x.npy", bytes(64 * MIB)))),
        (read_npz, "lie.npz", zipped(("x.npy", npy(FOUR, header("'<f8'", "(60000, 784)"))))),
        (read_cifar, "bomb.tar.gz", tar_gz(("a/big.txt", bytes(64 * MIB)))),
        (read_csv, "long.csv", b"1" * MIB),
    ],
    ids=_without_bytes,
)
def test_memory_is_bounded_whatever_a_file_says(
    tmp_path: Path, read_it: Any, name: str, content: bytes
) -> None:
    path = written(tmp_path, name, content)
    tracemalloc.start()
    try:
        refusal(read_it, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB, peak


def test_what_is_kept_is_what_was_read_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    (tmp_path / "given.npz").write_bytes(npz(x=IMAGES, y=LABELS))
    examples = from_files([tmp_path / "given.npz"])
    first = write(examples, tmp_path / "one.npz")
    assert write(examples, tmp_path / "two.npz") == first
    x, y = read(tmp_path / "one.npz", SMALL)
    assert np.array_equal(as_numpy(x), IMAGES[..., None])
    assert y.values.tolist() == LABELS.tolist()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["x"], IMAGES[..., None]), "NumPy reads it too"
