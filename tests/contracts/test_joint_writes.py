"""Several trials of one lease stored in one go: what is in one's way is in no other's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db import claims, owner, replay
from db.artifacts import FolderStore
from db.claims import ClaimedTrial
from db.engine import Database
from db.errors import FencedOff
from db.models import Checkpoint as CheckpointRow
from db.states import TrialState
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, submitted, trial
from worker.database_access import DatabaseAccess, DatabaseAway
from worker.files import NotAsAnnounced
from worker.keeping import LOG_FILE
from worker.logs import TrialLog
from worker.protocol import Checkpoint, Result
from worker.recording import Recorder
from worker.writing import Writer

CONTENT = b"weights" * 1000
MEMBERS = 3


class Group:
    """Claimed trials with one writer, each with a checkpoint's file in its folder."""

    def __init__(self, database: Database, folder: Path, claimed: list[ClaimedTrial]) -> None:
        self.database, self.store = database, FolderStore(folder / "artifacts")
        self.outages = 0
        access = DatabaseAccess(database, sleep=lambda _: None)
        self.writer = Writer(access, self.store, lambda work: work(), self._must_give_up)
        self.recorders = [self._recorder(access, folder, one) for one in claimed]

    def _must_give_up(self) -> bool:
        self.outages += 1
        return self.outages > 3

    def _recorder(self, access: DatabaseAccess, folder: Path, claimed: ClaimedTrial) -> Recorder:
        files = folder / str(claimed.trial_id)
        files.mkdir()
        (files / "epoch-1.npz").write_bytes(CONTENT)
        log = TrialLog(files.with_name(f"{claimed.trial_id}-{LOG_FILE}"), 4096)
        log.note("it runs")
        return Recorder(
            access, self.store, claimed, files, log, self._must_give_up, lambda work: work(),
            writer=self.writer,
        )  # fmt: skip

    def end_all(self, told: list[int]) -> dict[int, Any]:
        """All bring a checkpoint and their result at once; ``told`` gets whose was kept."""
        self.writer.gathering = True
        for one in self.recorders:
            announced = Checkpoint(
                trial=one.trial, fence=one.fence, file="epoch-1.npz", epoch=1, best=True, value=0.5,
                bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(),
            )  # fmt: skip
            one.checkpoint(announced, lambda one=one: told.append(one.trial))  # type: ignore[misc]
            result = Result(
                trial=one.trial, fence=one.fence, metrics={"test_accuracy": 0.5}, summary={},
                ended_early=False,
            )  # fmt: skip
            one.succeed(result, may=lambda one=one: one.refusals == 0)  # type: ignore[misc]
        return self.writer.store_gathered()

    def states(self) -> list[TrialState]:
        with self.database.snapshot() as session:
            return [trial(session, one.trial).state for one in self.recorders]

    def rows(self, table: Any) -> list[int]:
        with self.database.snapshot() as session:
            return sorted(session.scalars(select(table.trial_id)))


@pytest.fixture
def group(database: Database, catalog: Catalog, tmp_path: Path) -> Group:
    claimed: list[ClaimedTrial] = []
    with database.transaction() as session:
        for number in range(MEMBERS):
            submitted(session, catalog, person(session), {**TRAIN, "seed": number})
            found = claims.claim(session, slot(session, catalog), 90.0)
            assert found is not None
            claimed += found.trials
    return Group(database, tmp_path, claimed)


def take_away(database: Database, trial_id: int, fence: int) -> None:
    with database.transaction() as session:
        owner.release(session, trial_id, fence, "somebody else has it now")


def assert_agrees(database: Database) -> None:
    with database.snapshot() as session:
        assert list(replay.differences(session)) == []


def test_all_end_in_one_transaction(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    run, runs = Database.run, []

    def counted(self: Database, work: Callable[[Session], Any], attempts: int = 8) -> Any:
        runs.append(work)
        return run(self, work, attempts)

    monkeypatch.setattr(Database, "run", counted)
    told: list[int] = []
    assert group.end_all(told) == {}
    assert len(runs) == 1
    ids = [one.trial for one in group.recorders]
    assert told == ids == group.rows(CheckpointRow)
    assert group.states() == [TrialState.SUCCEEDED] * MEMBERS
    assert len(list(group.store.list("trials"))) == 2 * MEMBERS
    assert_agrees(group.database)


@pytest.mark.parametrize("which", range(MEMBERS))
def test_one_whose_fence_is_lost_drops_out_alone(group: Group, which: int) -> None:
    lost = group.recorders[which]
    take_away(group.database, lost.trial, lost.fence)
    told: list[int] = []
    failed = group.end_all(told)
    assert {trial_id: type(error) for trial_id, error in failed.items()} == {lost.trial: FencedOff}
    others = [one.trial for one in group.recorders if one is not lost]
    assert told == others == group.rows(CheckpointRow)
    states = group.states()
    assert states.pop(which) is TrialState.QUEUED
    assert states == [TrialState.SUCCEEDED] * (MEMBERS - 1)
    checkpoints = [key for key in group.store.list("trials") if key.endswith(".npz")]
    assert checkpoints == [f"trials/{one}/1/epoch-1.npz" for one in others]
    assert_agrees(group.database)


def test_a_fence_lost_between_two_writes_undoes_the_first(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint's row is written, then the trial turns out to be somebody else's."""
    lost, succeed = group.recorders[1], owner.succeed

    def of_somebody_else(session: Session, trial_id: int, *arguments: Any) -> None:
        if trial_id == lost.trial:
            raise FencedOff("it was taken over")
        succeed(session, trial_id, *arguments)

    monkeypatch.setattr(owner, "succeed", of_somebody_else)
    assert list(group.end_all([])) == [lost.trial]
    assert lost.trial not in group.rows(CheckpointRow)
    succeeded, running = TrialState.SUCCEEDED, TrialState.RUNNING
    assert group.states() == [succeeded, running, succeeded]


def test_a_full_disk_for_one_fails_that_one_only(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, full = FolderStore.put, group.recorders[1]

    def filled(self: FolderStore, key: str, source: Path) -> None:
        if key.startswith(f"trials/{full.trial}/") and key.endswith(".npz"):
            raise OSError(28, "No space left on device")
        put(self, key, source)

    monkeypatch.setattr(FolderStore, "put", filled)
    assert group.end_all([]) == {}
    assert [one.refusals for one in group.recorders] == [0, 1, 0]
    succeeded, running = TrialState.SUCCEEDED, TrialState.RUNNING
    assert group.states() == [succeeded, running, succeeded]
    assert full.trial not in group.rows(CheckpointRow)


def test_a_file_that_is_not_as_announced_is_one_trials_fault(group: Group, tmp_path: Path) -> None:
    forger = group.recorders[0]
    (tmp_path / str(forger.trial) / "epoch-1.npz").write_bytes(b"other" * 1400)
    failed = group.end_all([])
    assert {one: type(error) for one, error in failed.items()} == {forger.trial: NotAsAnnounced}
    succeeded, running = TrialState.SUCCEEDED, TrialState.RUNNING
    assert group.states() == [running, succeeded, succeeded]


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_database_that_goes_away_in_the_middle_doubles_and_loses_nothing(
    group: Group, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    """Before its COMMIT, and after one whose answer is lost."""
    run, tries = Database.run, []

    def away_once(self: Database, work: Callable[[Session], Any], attempts: int = 8) -> Any:
        tries.append(work)
        if len(tries) > 1:
            return run(self, work, attempts)
        if is_committed:
            run(self, work, attempts)
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    monkeypatch.setattr(Database, "run", away_once)
    failed = group.end_all([])
    # Who has ended already is nobody's any more; all is there.
    assert len(failed) == (MEMBERS if is_committed else 0)
    assert group.states() == [TrialState.SUCCEEDED] * MEMBERS
    assert group.rows(CheckpointRow) == [one.trial for one in group.recorders]
    assert len(list(group.store.list("trials"))) == 2 * MEMBERS
    assert_agrees(group.database)


def test_a_database_that_stays_away_writes_no_half(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = owner.succeed

    def away(session: Session, trial_id: int, *arguments: Any) -> None:
        if trial_id == group.recorders[-1].trial:
            raise OperationalError("UPDATE", {}, Exception("the connection was lost"))
        real(session, trial_id, *arguments)

    monkeypatch.setattr(owner, "succeed", away)
    with pytest.raises(DatabaseAway):
        group.end_all([])
    assert group.states() == [TrialState.RUNNING] * MEMBERS
    assert group.rows(CheckpointRow) == []
    assert_agrees(group.database)
