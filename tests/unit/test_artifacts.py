"""The artifact store's contract. A new kind of store is one more parameter."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.artifacts import ArtifactStore, BadKey, FolderStore


@pytest.fixture(params=[FolderStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    made: ArtifactStore = request.param(tmp_path / "store")
    return made


def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "source"
    path.write_bytes(content)
    return path


def test_it_works(store: ArtifactStore, tmp_path: Path) -> None:
    store.put("trials/1/2/epoch-1.npz", file(tmp_path, b"first"))
    store.put("trials/1/2/epoch-1.npz", file(tmp_path, b"second"))
    with store.get("trials/1/2/epoch-1.npz") as reading:
        assert reading.read() == b"second"
    assert store.stat("trials/1/2/epoch-1.npz") == 6


def test_what_is_not_there(store: ArtifactStore) -> None:
    assert store.stat("trials/9/9/none") is None
    assert list(store.list("trials/9")) == []
    store.delete("trials/9/9/none")
    with pytest.raises(FileNotFoundError):
        store.get("trials/9/9/none")


def test_list_and_delete(store: ArtifactStore, tmp_path: Path) -> None:
    keys = ["trials/1/1/a", "trials/1/2/b", "trials/10/1/c"]
    for key in keys:
        store.put(key, file(tmp_path, b"x"))
    assert list(store.list("trials/1")) == keys[:2]
    store.delete(keys[0])
    assert list(store.list("trials")) == keys[1:]


@pytest.mark.parametrize(
    "key",
    ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "A", "a/.hidden", "a\0", "a b", "x" * 999,
     "a/b/c/d/e/f/g/h/i", "a\n"],
)  # fmt: skip
def test_what_is_no_key(store: ArtifactStore, tmp_path: Path, key: str) -> None:
    for use in (store.get, store.stat, store.delete, lambda name: list(store.list(name))):
        with pytest.raises(BadKey):
            use(key)
    with pytest.raises(BadKey):
        store.put(key, file(tmp_path, b"x"))


def test_a_failed_put_leaves_the_old_file_and_nothing_else(
    store: ArtifactStore, tmp_path: Path
) -> None:
    store.put("trials/1/1/a", file(tmp_path, b"old"))
    with pytest.raises(FileNotFoundError):
        store.put("trials/1/1/a", tmp_path / "missing")
    with store.get("trials/1/1/a") as reading:
        assert reading.read() == b"old"
    assert list(store.list("trials")) == ["trials/1/1/a"]


def test_a_folder_keeps_its_id(tmp_path: Path) -> None:
    assert FolderStore(tmp_path / "a").store_id == FolderStore(tmp_path / "a").store_id
    assert FolderStore(tmp_path / "a").store_id != FolderStore(tmp_path / "b").store_id
