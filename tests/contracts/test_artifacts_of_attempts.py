"""Files that several attempts of a trial made: none lost, none there twice, on both databases."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from db import claims, sweeper
from db.artifacts import FolderStore
from db.engine import Database
from db.errors import FencedOff
from db.reads.files import artifacts_of
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted
from worker.database_access import DatabaseAccess
from worker.logs import TrialLog
from worker.protocol import Artifact
from worker.recording import Recorder

TTL_S = 90.0


class Attempts:
    """One trial's, one after another on one slot."""

    def __init__(self, database: Database, catalog: Catalog, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.store = FolderStore(folder / "artifacts")
        with database.transaction() as session:
            [self.trial] = submitted(session, catalog, person(session))
            self.slot = slot(session, catalog)

    def next(self) -> Recorder:
        """The trial is lost, and claimed again."""
        step_clock(self.database, TTL_S + 1)
        with self.database.transaction() as session:
            sweeper.sweep_expired(session)
            found = claims.claim(session, self.slot, TTL_S)
        assert found is not None
        files = self.folder / f"files-{found.trials[0].fence}"
        files.mkdir()
        access = DatabaseAccess(self.database, sleep=lambda _: None)
        log = TrialLog(files / "log.txt", 4096)
        return Recorder(
            access, self.store, found.trials[0], files, log, lambda: False, lambda work: work()
        )

    def draw(self, recorder: Recorder, epoch: int, content: bytes) -> Path:
        """Write and announce the picture of an epoch; its file in the folder of the attempt."""
        name = f"samples-{epoch:06d}.png"
        file = self.folder / f"files-{recorder.fence}" / name
        file.write_bytes(content)
        recorder.artifact(
            Artifact(
                trial=recorder.trial, fence=recorder.fence, file=name, name=name,
                media_type="image/png", bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )  # fmt: skip
        return file

    def shown(self) -> dict[str, bytes]:
        """What people see: contents by name."""
        with self.database.snapshot() as session:
            rows = artifacts_of(session, self.trial)
        found = {}
        for row in rows:
            with self.store.get(row.key) as file:
                found[row.name] = file.read()
        assert len(found) == len(rows)
        return found

    def stored(self) -> list[str]:
        return [key.partition(f"trials/{self.trial}/")[2] for key in self.store.list("trials")]


@pytest.fixture
def attempts(database: Database, catalog: Catalog, tmp_path: Path) -> Attempts:
    return Attempts(database, catalog, tmp_path)


def test_it_works(attempts: Attempts) -> None:
    first = attempts.next()
    for epoch in (1, 5, 10):
        file = attempts.draw(first, epoch, b"one %d" % epoch)
        assert not file.exists(), "the store has it, the scratch disk need not"
    second = attempts.next()
    assert set(attempts.shown()) == {f"samples-{epoch:06d}.png" for epoch in (1, 5, 10)}
    for epoch in (10, 15):
        attempts.draw(second, epoch, b"two %d" % epoch)

    assert attempts.shown() == {
        "samples-000001.png": b"one 1",
        "samples-000005.png": b"one 5",
        "samples-000010.png": b"two 10",
        "samples-000015.png": b"two 15",
    }
    one, two = first.fence, second.fence
    assert attempts.stored() == [
        f"{one}/samples-000001.png", f"{one}/samples-000005.png", f"{two}/samples-000010.png",
        f"{two}/samples-000015.png",
    ]  # fmt: skip


def test_who_is_fenced_off_replaces_nothing(attempts: Attempts) -> None:
    late, current = attempts.next(), attempts.next()
    attempts.draw(current, 1, b"current")
    with pytest.raises(FencedOff):
        attempts.draw(late, 1, b"late")
    assert attempts.shown() == {"samples-000001.png": b"current"}
    assert attempts.stored() == [f"{current.fence}/samples-000001.png"]


def test_an_answer_that_was_lost_doubles_nothing(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = attempts.next()
    attempts.draw(first, 1, b"first")
    second, run, tries = attempts.next(), Database.run, []

    def committed_without_an_answer(self: Database, work: object, most: int = 8) -> object:
        found = run(self, work, most)  # type: ignore[arg-type]
        tries.append(work)
        if len(tries) == 1:
            raise OperationalError("COMMIT", {}, Exception("the connection was lost"))
        return found

    monkeypatch.setattr(Database, "run", committed_without_an_answer)
    attempts.draw(second, 1, b"second")
    assert len(tries) == 2
    assert attempts.shown() == {"samples-000001.png": b"second"}


def test_a_full_store_costs_the_file_alone(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, put = attempts.next(), FolderStore.put
    attempts.draw(first, 1, b"first")

    def full(self: FolderStore, key: str, source: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FolderStore, "put", full)
    second = attempts.next()
    attempts.draw(second, 1, b"second")
    assert second.refusals == 1
    monkeypatch.setattr(FolderStore, "put", put)
    attempts.draw(second, 5, b"later")
    assert attempts.shown() == {"samples-000001.png": b"first", "samples-000005.png": b"later"}
