"""What a fenced-off slot had put into the store does not stay there, on both databases."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from db import claims, sweeper
from db.artifacts import FolderStore
from db.engine import Database
from db.errors import FencedOff
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted, trial
from worker.database_access import DatabaseAccess
from worker.logs import TrialLog
from worker.protocol import Artifact, Checkpoint
from worker.recording import Recorder

TTL_S = 90.0
CONTENT = b"weights" * 1000


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts")


@pytest.fixture
def recorder(database: Database, catalog: Catalog, store: FolderStore, tmp_path: Path) -> Recorder:
    """Of a claimed trial, with three files in its folder."""
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        found = claims.claim(session, slot(session, catalog), TTL_S)
    assert found is not None
    files = tmp_path / "files"
    files.mkdir()
    for name in ("epoch-1.npz", "epoch-2.npz", "table.bin"):
        (files / name).write_bytes(CONTENT)
    log = TrialLog(tmp_path / "log.txt", 4096)
    access = DatabaseAccess(database, sleep=lambda _: None)
    return Recorder(access, store, found.trials[0], files, log, lambda: False, lambda work: work())


def checkpoint(recorder: Recorder, epoch: int) -> None:
    recorder.checkpoint(
        Checkpoint(
            trial=recorder.trial, fence=recorder.fence, file=f"epoch-{epoch}.npz", epoch=epoch,
            bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), value=0.5, best=True,
        )
    )  # fmt: skip


def take_away(database: Database) -> None:
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        assert sweeper.sweep_expired(session) != []


def test_only_what_was_recorded_stays(
    database: Database, recorder: Recorder, store: FolderStore
) -> None:
    checkpoint(recorder, 1)
    take_away(database)
    with pytest.raises(FencedOff):
        checkpoint(recorder, 2)
    table = Artifact(
        trial=recorder.trial, fence=recorder.fence, file="table.bin", name="A table",
        media_type="application/octet-stream", bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )  # fmt: skip
    with pytest.raises(FencedOff):
        recorder.artifact(table)
    assert list(store.list("trials")) == [f"trials/{recorder.trial}/1/epoch-1.npz"]


def test_what_may_have_been_recorded_stays(
    database: Database, recorder: Recorder, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Database.run
    tries = []

    def committed_without_an_answer(self: Database, work: object, attempts: int = 8) -> object:
        found = run(self, work, attempts)  # type: ignore[arg-type]
        tries.append(work)
        if len(tries) == 1:
            take_away(database)
            raise OperationalError("COMMIT", {}, Exception("the connection was lost"))
        return found

    monkeypatch.setattr(Database, "run", committed_without_an_answer)
    with pytest.raises(FencedOff):
        checkpoint(recorder, 1)
    assert list(store.list("trials")) == [f"trials/{recorder.trial}/1/epoch-1.npz"]


@pytest.mark.parametrize(("unit", "done"), [("epoch", 2.0), ("sample", 0.0)])
def test_what_goes_on_is_as_far_as_its_checkpoint_at_once(
    database: Database, recorder: Recorder, unit: str, done: float
) -> None:
    recorder.started({"resumed_epoch": 2}, 6.0, unit)
    with database.snapshot() as session:
        assert trial(session, recorder.trial).progress_done == done
    assert not recorder.has_news, "nothing that a beat would set back"
