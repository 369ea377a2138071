"""A slot whose database is away, whose answers are lost, or that lost its trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from db.claims import Claim
from db.engine import Database
from db.models import Checkpoint, MetricChunk, Result, Trial
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slot_acts import behave, cancel, runner_pid, wait_for_checkpoint
from tests.support.slots import (
    DEVICE,
    FAKE_RUNNER,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    wait_for_end,
    wait_until,
)
from worker import process_group
from worker.database_access import DatabaseAccess, DatabaseAway
from worker.pool import SlotPool


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def test_a_slot_that_was_fenced_off_throws_its_work_away(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings.model_copy(update={"beat_s": 3600.0})) as pool:
        wait_for_checkpoint(database, trial_id)
        runner = runner_pid(pool)
        _take_away(database, trial_id)
        behave(database, trial_id, seed_of(fake_runner.well))
        pool.ring()
        [done] = wait_for_end(database, trial_id)
        wait_until(lambda: process_group.living(runner) == [], "the old runner's end")
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert done.fence == 3
    with database.snapshot() as session:
        assert session.get_one(Result, trial_id).fence == 3


def test_work_is_held_still_while_the_database_is_away_and_goes_on_after(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = settings.model_copy(update={"lease_ttl_s": 5.0})
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(short) as pool:
        wait_for_checkpoint(database, trial_id)
        runner = runner_pid(pool)
        away = True
        write = Database.run

        def run(self: Database, work: object, attempts: int = 8) -> object:
            if away and self is pool._database:
                raise ConnectionRefusedError("the database is down")
            return write(self, work, attempts)  # type: ignore[arg-type]

        monkeypatch.setattr(Database, "run", run)
        wait_until(
            lambda: {member.state for member in process_group.members(runner)} == {"T"},
            "a runner held still",
        )
        away = False
        wait_until(
            lambda: {member.state for member in process_group.members(runner)} != {"T"},
            "a runner at work again",
        )
        cancel(database, trial_id)
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.CANCELLED
    assert done.fence == 1


def test_an_expired_lease_is_taken_back_and_resumed_by_another_worker(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    short = settings.model_copy(update={"lease_ttl_s": 4.0, "poll_s": 0.1})
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(short) as silent:
        wait_for_checkpoint(database, trial_id)
        # As a partition would: the first worker works on, but its beats do not arrive.
        for slot in silent.slots:
            slot._allocation._holding.lease.beat_if_due = lambda _: False  # type: ignore[union-attr,method-assign]
        behave(database, trial_id, seed_of(fake_runner.well))
        other = short.model_copy(update={"data_dir": short.data_dir})
        with running_pool(other):
            [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert done.losses == 1
    assert [row.outcome for row in attempts(database, trial_id)] == [
        Outcome.LOST,
        Outcome.SUCCEEDED,
    ]
    with database.snapshot() as session:
        assert session.get_one(Result, trial_id).summary["resumed"] == "state after 1"


def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Database.run
    done: dict[int, int] = {}

    def lose_answers(self: Database, work: object, attempts: int = 8) -> object:
        result: object = run(self, work, attempts)  # type: ignore[arg-type]
        # Each write that a slot insists on is done, but the first answer does not arrive.
        if self is pool._database and getattr(work, "__name__", "") == "counted":
            done[id(work)] = done.get(id(work), 0) + 1
            if done[id(work)] == 1:
                raise ConnectionResetError("the answer was lost")
        return result

    [trial_id] = submit(database, catalog, behaving(0))
    pool = SlotPool(settings, (DEVICE,), FAKE_RUNNER)
    monkeypatch.setattr(Database, "run", lose_answers)
    pool.start()
    try:
        [ended] = wait_for_end(database, trial_id)
    finally:
        pool.close()
        pool.join()
    assert ended.state is TrialState.SUCCEEDED, ended.reason
    assert len(attempts(database, trial_id)) == 1
    with database.snapshot() as session:
        chunks = session.scalars(select(MetricChunk).where(MetricChunk.name == "val_accuracy"))
        assert sorted(value for chunk in chunks for value in chunk.values) == [0.1, 0.2, 0.3]
        assert sorted(session.scalars(select(Checkpoint.epoch))) == [1, 2, 3]
        assert session.scalars(select(Result.trial_id)).all() == [trial_id]


def test_a_claim_whose_answer_is_lost_is_given_back_though_nothing_else_waits(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lost = DatabaseAccess.write, list[Claim]()

    def lose_the_first_claim(self: DatabaseAccess, work: Any) -> Any:
        found = write(self, work)
        if isinstance(found, Claim) and not lost:
            lost.append(found)
            raise DatabaseAway("the answer to COMMIT was lost")
        return found

    monkeypatch.setattr(DatabaseAccess, "write", lose_the_first_claim)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    ends = [attempt.outcome for attempt in attempts(database, trial_id)]
    assert ends == [Outcome.RELEASED, Outcome.SUCCEEDED], "not only when its lease had run out"


def _take_away(database: Database, trial_id: int) -> None:
    """What the sweeper does to a silent owner."""
    from db import transitions

    def take(session: object) -> None:
        row = session.get_one(Trial, trial_id)  # type: ignore[attr-defined]
        transitions.requeue(
            session,  # type: ignore[arg-type]
            row,
            actor="pool",
            outcome=Outcome.LOST,
            reason="taken away",
            lost=True,
        )

    database.run(take)
