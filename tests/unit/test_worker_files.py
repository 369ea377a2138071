"""Logs, curves, scratch folders and files on their way to the store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from db.artifacts import FolderStore, StoreAway
from worker import curves, gpu_lock
from worker.curves import Curves
from worker.files import NotAsAnnounced, StoreRefused, check, fetch, publish
from worker.gpu_lock import GpuLock, lock_folder
from worker.logs import TrialLog
from worker.process_group import start_ticks
from worker.protocol import Points
from worker.scratch import OWNER_FILE, Scratch


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


class TestLog:
    def test_a_short_log_is_kept_whole(self, tmp_path: Path) -> None:
        log = TrialLog(tmp_path / "log.txt", 1000)
        log.note("hello")
        size_bytes = log.write_to(tmp_path / "copy")
        assert (tmp_path / "copy").read_text() == "labpool: hello\n"
        assert size_bytes == log.written_bytes == 15

    def test_a_long_log_keeps_its_start_and_its_end(self, tmp_path: Path) -> None:
        log = TrialLog(tmp_path / "log.txt", 1000)
        # As a runner does: one descriptor, opened for appending, over all trims.
        with log.path.open("ab", buffering=0) as output:
            for number in range(1000):
                output.write(f"line {number:03}\n".encode())
                log.trim()
                assert log.size_bytes <= 1009
        log.write_to(tmp_path / "copy")
        text = (tmp_path / "copy").read_text()
        assert text.startswith("line 000\nline 001\n")
        assert text.endswith("line 999\n")
        assert "bytes left out" in text
        assert len(text) <= 1100
        assert log.written_bytes == 9000

    def test_the_tail_begins_with_a_whole_line(self, tmp_path: Path) -> None:
        log = TrialLog(tmp_path / "log.txt", 1000)
        log.path.write_bytes(b"first line\nsecond \xff\x00line\n")
        assert log.tail(20) == "second \ufffd\ufffdline\n"
        assert log.tail() == "first line\nsecond \ufffd\ufffdline\n"

    def test_a_missing_log_has_an_empty_tail(self, tmp_path: Path) -> None:
        log = TrialLog(tmp_path / "log.txt", 1000)
        log.path.unlink()
        assert log.tail() == ""


class TestCurves:
    @staticmethod
    def points(*steps: int, **values: float | None) -> Points:
        count = len(steps)
        return Points(
            trial=1, fence=1, steps=steps, epochs=(None,) * count, times_s=(1.0,) * count,
            values={name: (value,) * count for name, value in values.items()},
        )  # fmt: skip

    def test_points_become_a_chunk_for_each_curve(self) -> None:
        gathered = Curves()
        gathered.add(self.points(1, loss=1.0, accuracy=0.1))
        gathered.add(self.points(2, 5, loss=None))
        chunks = {chunk.name: chunk for chunk in gathered.take()}
        assert chunks["loss"].steps == [1, 2, 5]
        assert chunks["loss"].epochs == [None] * 3
        assert chunks["loss"].times_s == [1.0] * 3
        assert chunks["loss"].values == [1.0, None, None]
        assert chunks["accuracy"].steps == [1]
        assert not gathered
        assert gathered.take() == []

    def test_too_much_is_dropped(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(curves, "MOST_POINTS", 2)
        monkeypatch.setattr(curves, "MOST_NAMES", 1)
        gathered = Curves()
        for step in range(3):
            gathered.add(self.points(step, loss=1.0, other=1.0))
            gathered.take()
        assert gathered.dropped == 4

    def test_what_no_longer_fits_of_many_points_is_dropped(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(curves, "MOST_POINTS", 5)
        gathered = Curves()
        gathered.add(self.points(1, 2, 3, loss=1.0))
        gathered.add(self.points(4, 5, 6, 7, loss=2.0))
        [chunk] = gathered.take()
        assert chunk.steps == [1, 2, 3, 4, 5]
        assert chunk.values == [1.0, 1.0, 1.0, 2.0, 2.0]
        assert gathered.dropped == 2


class TestFiles:
    def test_a_file_as_announced(self, tmp_path: Path) -> None:
        (tmp_path / "a.npz").write_bytes(b"state")
        assert check(tmp_path, "a.npz", 5, digest(b"state")) == tmp_path / "a.npz"

    @pytest.mark.parametrize(
        ("size_bytes", "sha256"), [(4, digest(b"state")), (5, digest(b"other"))]
    )
    def test_another_size_or_content(self, tmp_path: Path, size_bytes: int, sha256: str) -> None:
        (tmp_path / "a.npz").write_bytes(b"state")
        with pytest.raises(NotAsAnnounced):
            check(tmp_path, "a.npz", size_bytes, sha256)

    def test_no_link_folder_pipe_or_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("/etc/hostname")
        (tmp_path / "folder").mkdir()
        os.mkfifo(tmp_path / "pipe")
        for name in ("link", "folder", "pipe", "nothing"):
            with pytest.raises(NotAsAnnounced):
                check(tmp_path, name, 0, digest(b""))

    def test_there_and_back(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "store")
        (tmp_path / "a").write_bytes(b"state")
        publish(store, "trials/1/1/a", tmp_path / "a")
        assert fetch(store, "trials/1/1/a", digest(b"state"), tmp_path / "b")
        assert (tmp_path / "b").read_bytes() == b"state"

    def test_damage_is_noticed(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "store")
        (tmp_path / "a").write_bytes(b"state")
        publish(store, "trials/1/1/a", tmp_path / "a")
        assert not fetch(store, "trials/1/1/a", digest(b"other"), tmp_path / "b")
        assert not (tmp_path / "b").exists()
        assert not fetch(store, "trials/1/1/gone", digest(b""), tmp_path / "b")

    def test_what_an_unmounted_store_lacks_is_not_gone(self, tmp_path: Path) -> None:
        store = FolderStore(tmp_path / "store")
        (tmp_path / "a").write_bytes(b"state")
        publish(store, "trials/1/1/a", tmp_path / "a")
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        for unmounted in ("gone", "empty", "another"):
            if unmounted == "empty":
                (tmp_path / "store").mkdir()
            if unmounted == "another":
                publish(FolderStore(tmp_path / "store"), "trials/1/1/a", tmp_path / "a")
            with pytest.raises(StoreAway, match="is its share mounted"):
                fetch(store, "trials/1/1/a", digest(b"another state"), tmp_path / "b")
            with pytest.raises(StoreRefused, match="is its share mounted"):
                publish(store, "trials/1/1/b", tmp_path / "a")
        assert not list((tmp_path / "store").rglob("b")), "nothing is put where a share belongs"
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        assert fetch(store, "trials/1/1/a", digest(b"state"), tmp_path / "b")

    def test_a_full_store(self, tmp_path: Path) -> None:
        with pytest.raises(StoreRefused, match="No such file"):
            publish(FolderStore(tmp_path / "store"), "trials/1/1/a", tmp_path / "missing")


class TestScratch:
    def test_folders_are_new_and_go(self, tmp_path: Path) -> None:
        scratch = Scratch(tmp_path, "me", "here")
        scratch.open()
        folder = scratch.trial_folder(0, 7, 2)
        (folder / "left").touch()
        assert list(scratch.trial_folder(0, 7, 2).iterdir()) == []
        scratch.close()
        assert list(tmp_path.iterdir()) == []

    def test_only_dead_workers_of_this_host_are_cleared(self, tmp_path: Path) -> None:
        alive, mine = Scratch(tmp_path, "alive", "here"), Scratch(tmp_path, "mine", "here")
        alive.open()
        self.left_behind(tmp_path, "dead", "here")
        self.left_behind(tmp_path, "elsewhere", "there")
        (tmp_path / "unknown").mkdir()
        mine.open()
        assert mine.remove_leftovers() == ["dead"]
        names = {folder.name for folder in tmp_path.iterdir()}
        assert names == {"alive", "mine", "elsewhere", "unknown"}

    def test_a_reused_process_number_does_not_save_a_folder(self, tmp_path: Path) -> None:
        self.left_behind(tmp_path, "dead", "here", pid=os.getpid())
        mine = Scratch(tmp_path, "mine", "here")
        mine.open()
        assert mine.remove_leftovers() == ["dead"]

    def test_a_living_worker_is_known_where_its_process_cannot_be_seen(
        self, tmp_path: Path
    ) -> None:
        # Another container, or another host, that calls itself the same.
        alive, mine = Scratch(tmp_path, "alive", "here"), Scratch(tmp_path, "mine", "here")
        alive.open()
        self.disguise(tmp_path / "alive", boot="another", pid=2**22 + 1)
        mine.open()
        assert mine.remove_leftovers() == []
        alive.close()
        mine.close()
        assert list(tmp_path.iterdir()) == []

    def test_a_killed_worker_is_known_to_be_gone(self, tmp_path: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from worker.scratch import Scratch;"
            "Scratch(Path(sys.argv[1]), 'killed', 'here').open(); print(flush=True); input()"
        )
        worker = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        mine = Scratch(tmp_path, "mine", "here")
        with worker:
            assert worker.stdout is not None
            worker.stdout.readline()
            mine.open()
            assert mine.remove_leftovers() == []
            worker.kill()
        assert mine.remove_leftovers() == ["killed"]
        mine.close()

    def left_behind(self, root: Path, name: str, host: str, pid: int = 2**22 + 1) -> None:
        scratch = Scratch(root, name, host)
        scratch.open()
        owner = (root / name / OWNER_FILE).read_text()
        assert json.loads(owner)["start_ticks"] == start_ticks(os.getpid())
        scratch.close()
        (root / name).mkdir()
        (root / name / OWNER_FILE).write_text(owner)
        self.disguise(root / name, pid=pid, start_ticks=1)

    @staticmethod
    def disguise(folder: Path, **changes: object) -> None:
        owner = json.loads((folder / OWNER_FILE).read_text())
        (folder / OWNER_FILE).write_text(json.dumps({**owner, **changes}))


class TestGpuLock:
    def test_one_holder_at_a_time(self, tmp_path: Path) -> None:
        one, other = GpuLock("GPU-a/b", tmp_path), GpuLock("GPU-a/b", tmp_path)
        assert one.acquire()
        assert one.acquire()
        assert not other.acquire()
        one.release()
        assert other.acquire()
        other.close()
        one.close()

    def test_the_place_is_one_for_all_whatever_their_temporary_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gpu_lock, "GPU_LOCKS", tmp_path / "lock" / "labpool")
        monkeypatch.setattr(gpu_lock, "unshared", lambda _: None)
        places = []
        for name in "ab":
            monkeypatch.setattr(gpu_lock.tempfile, "tempdir", str(tmp_path / name))
            places.append(lock_folder(None))
        assert places == [(tmp_path / "lock" / "labpool", None)] * 2
        assert places[0][0].stat().st_mode & 0o7777 == 0o1777

    def test_a_place_that_cannot_be_used_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr(gpu_lock, "GPU_LOCKS", tmp_path / "file" / "labpool")
        monkeypatch.setattr(gpu_lock.tempfile, "tempdir", str(tmp_path))
        folder, trouble = lock_folder(None)
        assert folder == tmp_path / "labpool-gpu-locks"
        assert trouble == f"{tmp_path}/file/labpool cannot be used (Not a directory)"
        with pytest.raises(OSError, match="Not a directory"):
            lock_folder(tmp_path / "file" / "labpool")

    def test_a_containers_own_folder_is_told(self, tmp_path: Path) -> None:
        (tmp_path / ".dockerenv").touch()
        marks = [tmp_path / ".dockerenv"]
        assert gpu_lock.unshared(Path("/"), marks) == "/ is this container's own"
        assert gpu_lock.unshared(Path("/"), [tmp_path / "none"]) is None
        assert gpu_lock.unshared(Path("/proc"), marks) is None

    def test_a_file_that_was_cleared_away_locks_nothing(self, tmp_path: Path) -> None:
        one, other = GpuLock("GPU-a", tmp_path), GpuLock("GPU-a", tmp_path)
        assert one.acquire()
        (tmp_path / "GPU-a.lock").unlink()
        # Whoever had it open before waits for the trial that runs, and then for a new file.
        assert (other.acquire(), other.is_stale) == (False, False)
        one.release()
        third = GpuLock("GPU-a", tmp_path)
        assert (other.acquire(), other.is_stale) == (False, True)
        assert third.acquire()
        assert (one.acquire(), one.is_stale) == (False, True)
        for lock in (one, other, third):
            lock.close()

    def test_a_runner_keeps_it_when_its_slot_has_died(self, tmp_path: Path) -> None:
        one, other, third = (GpuLock(name, tmp_path) for name in ("GPU-a", "GPU-a", "GPU-b"))
        assert one.acquire()
        runner = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[one.descriptor]
        )
        one.close()
        assert not other.acquire()
        assert other.is_open_in(runner.pid)
        assert not third.is_open_in(runner.pid)
        runner.communicate(b"\n")
        assert not other.is_open_in(runner.pid)
        assert other.acquire()
        other.close()
        third.close()
