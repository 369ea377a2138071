"""What was compiled is kept: by all that makes it, whole, and within bounds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.compiles import KERNEL
from worker.runner import compile_cache, nvrtc
from worker.runner.compile_cache import find, keep, key_of
from worker.runner.compiling import compile_apart
from worker.runner.reasons import CompileError


def compile_it(
    cache: Path, source: str = KERNEL, architecture: str = "sm_80", option: str = "-DREAL=float"
) -> bool:
    """Whether it came from the cache."""
    return compile_apart(source, "mine.cu", architecture, [option], cache).cached


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_it_works(tmp_path: Path) -> None:
    keep(tmp_path, key_of(["a"]), {"b": 1})
    assert find(tmp_path, key_of(["a"])) == {"b": 1}
    assert find(tmp_path, key_of(["c"])) is None


def test_each_thing_that_matters_is_another_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "made" / "when needed"
    assert [compile_it(cache), compile_it(cache)] == [False, True]
    assert not compile_it(cache, source=KERNEL + " ")
    assert not compile_it(cache, architecture="sm_90")
    assert not compile_it(cache, option="-DREAL=double")
    monkeypatch.setattr(nvrtc, "build", lambda: "another")
    assert not compile_it(cache)
    assert len(list(cache.iterdir())) == 5


def test_parts_do_not_run_together() -> None:
    keys = [key_of(parts) for parts in (["a", "bc"], ["ab", "c"], ["c", "ab"], ["abc"])]
    assert len(set(keys)) == 4


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "no line", "of another"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, how: str) -> None:
    compile_it(tmp_path)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    if how == "of another":
        compile_it(tmp_path / "other", source=KERNEL + " ")
        damaged = only_file(tmp_path / "other").read_bytes()
    else:
        damaged = {
            "flipped": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
            "cut": whole[:-1],
            "empty": b"",
            "no line": whole.replace(b"\n", b" ", 1),
        }[how]
    path.write_bytes(damaged)
    assert [compile_it(tmp_path), compile_it(tmp_path)] == [False, True]


def test_what_was_used_longest_ago_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_cache, "CACHE_BYTES", 3500)
    keys = [key_of([str(number)]) for number in range(4)]
    for age, key in enumerate(keys[:3]):
        keep(tmp_path, key, "x" * 1000)
        os.utime(tmp_path / f"{key}.json", (age + 1, age + 1))
    assert find(tmp_path, keys[0]) is not None  # now it was used last
    keep(tmp_path, keys[3], "x" * 1000)
    assert [find(tmp_path, key) is not None for key in keys] == [True, False, True, True]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3500


def test_what_a_crash_left_half_written_is_cleared_and_never_read(tmp_path: Path) -> None:
    key = key_of(["a"])
    left, passing = tmp_path / f"{key}.1.new", tmp_path / f"{key}.2.new"
    left.write_bytes(b"half")
    passing.write_bytes(b"half")
    os.utime(left, (1, 1))
    assert find(tmp_path, key) is None
    keep(tmp_path, key, 1)
    assert not left.exists() and passing.exists()


def test_without_room_for_it_nothing_is_kept(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert [compile_it(in_the_way), compile_it(in_the_way)] == [False, False]


def test_a_mistake_is_not_kept(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(CompileError, match="error"):
            compile_it(tmp_path, source="int x = ;")
    assert list(tmp_path.iterdir()) == []
