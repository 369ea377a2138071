"""A host's copies of uploads: checked, bounded, emptied of what is in vain."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import pytest

from db.artifacts import FolderStore
from worker import upload_cache
from worker.upload_cache import FOLDER, UNFINISHED_S, UNUSED_S, UploadCache

DAY_S = 24 * 3600.0
SIZE = 1000


class Host:
    """A store with uploads in it, a cache, and trials that want one."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.store = FolderStore(folder / "store")
        self.cache = UploadCache(folder / "datasets", most_bytes)
        self.trials = 0

    def upload(self, name: str) -> str:
        """Bring one; its sha256."""
        source = self.folder / name
        source.write_bytes(name.encode() * SIZE)
        self.store.put(f"uploads/{name}.npz", source)
        return sha256(source.read_bytes()).hexdigest()

    def wanted(self, name: str, digest: str) -> Path:
        """Where a trial finds it."""
        self.trials += 1
        target = self.folder / f"trial-{self.trials}.npz"
        assert self.cache.hand_over(self.store, f"uploads/{name}.npz", digest, target)
        return target

    def there(self) -> set[str]:
        return {path.stem for path in (self.folder / "datasets" / FOLDER).iterdir()}

    def kept(self, digest: str) -> Path:
        return self.folder / "datasets" / FOLDER / f"{digest}.npz"

    def age(self, digest: str, seconds: float) -> None:
        """As if it had been used so long ago."""
        then = time.time() - seconds
        os.utime(self.kept(digest), (then, then))


def everything(digests: Collection[str]) -> Collection[str]:
    return digests


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, 3 * SIZE)


def test_it_works(host: Host) -> None:
    digest = host.upload("a")
    first = host.wanted("a", digest)
    host.store.delete("uploads/a.npz")
    again = host.wanted("a", digest)
    assert first.read_bytes() == again.read_bytes() == b"a" * SIZE
    assert host.there() == {digest}


def test_what_was_used_longest_ago_makes_room(host: Host) -> None:
    digests = {name: host.upload(name) for name in "abcd"}
    held = host.wanted("a", digests["a"])
    for place, name in enumerate("abc"):
        host.wanted(name, digests[name])
        host.age(digests[name], 100 - place)
    host.wanted("a", digests["a"])
    host.wanted("d", digests["d"])
    assert host.there() == {digests[name] for name in "acd"}
    host.wanted("b", digests["b"])
    assert host.there() == {digests[name] for name in "abd"}
    assert held.read_bytes() == b"a" * SIZE
    assert sum(path.stat().st_size for path in host.kept("x").parent.iterdir()) == 3 * SIZE


def test_a_trial_keeps_what_makes_room_while_it_runs(tmp_path: Path) -> None:
    small = Host(tmp_path, SIZE)
    one, other = small.upload("a"), small.upload("b")
    first = small.wanted("a", one)
    small.wanted("b", other)
    assert small.there() == {other}
    assert first.read_bytes() == b"a" * SIZE


def test_one_that_is_larger_than_the_bound_is_used_all_the_same(tmp_path: Path) -> None:
    none = Host(tmp_path, 0)
    digest = none.upload("a")
    assert none.wanted("a", digest).read_bytes() == b"a" * SIZE
    assert none.cache.tidy(everything) == 1
    assert none.there() == set()


def test_what_is_spoilt_is_fetched_anew(host: Host) -> None:
    digest = host.upload("a")
    host.wanted("a", digest)
    host.kept(digest).chmod(0o644)
    host.kept(digest).write_bytes(b"spoilt")
    assert host.wanted("a", digest).read_bytes() == b"a" * SIZE


def test_what_is_in_vain_is_removed(host: Host) -> None:
    used, deleted, old = (host.upload(name) for name in "abc")
    for name, digest in (("a", used), ("b", deleted), ("c", old)):
        host.wanted(name, digest)
    host.age(used, UNUSED_S - DAY_S)
    host.age(old, UNUSED_S + DAY_S)
    assert host.cache.tidy(lambda digests: set(digests) - {deleted}) == 2
    assert host.there() == {used}
    assert host.cache.tidy(everything) == 0


def test_what_a_killed_worker_left_is_removed_when_it_is_old(host: Host) -> None:
    digest = host.upload("a")
    host.wanted("a", digest)
    for name, age_s in (("old", UNFINISHED_S + 60), ("young", 60.0)):
        left = host.kept(digest).with_name(f".{digest}.npz.{name}")
        left.write_bytes(b"half")
        os.utime(left, (time.time() - age_s,) * 2)
    assert host.cache.tidy(everything) == 1
    names = {path.name for path in host.kept(digest).parent.iterdir()}
    assert names == {f"{digest}.npz", f".{digest}.npz.young"}


def test_an_empty_host_has_nothing_to_tidy(host: Host) -> None:
    assert host.cache.tidy(lambda digests: pytest.fail(f"asked for {digests}")) == 0


def test_what_is_in_the_store_no_more_is_not_handed_over(host: Host, tmp_path: Path) -> None:
    target = tmp_path / "target.npz"
    assert not host.cache.hand_over(host.store, "uploads/x.npz", "0" * 64, target)
    assert not target.exists() and host.there() == set()


def test_another_worker_may_remove_it_just_then(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = host.upload("a")
    link, lost = os.link, []

    def raced(source: Path, target: Path) -> None:
        if not lost:
            lost.append(source)
            source.unlink()
        link(source, target)

    monkeypatch.setattr(upload_cache.os, "link", raced)
    assert host.wanted("a", digest).read_bytes() == b"a" * SIZE
    assert lost and host.there() == {digest}


def test_where_no_links_can_be_made_it_is_copied(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(upload_cache.os, "link", refused)
    digest = host.upload("a")
    given = host.wanted("a", digest)
    host.kept(digest).unlink()
    assert given.read_bytes() == b"a" * SIZE, "it is the trial's own"
