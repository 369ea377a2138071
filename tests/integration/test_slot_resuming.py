"""What a slot gives back goes on from its checkpoint, and full disks cost little."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from db import retries
from db.artifacts import FolderStore
from db.engine import Database
from db.models import Checkpoint, Result
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slot_acts import behave, runs, wait_for_checkpoint
from tests.support.slots import (
    ask,
    attempts,
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
    wait_until,
)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def test_shutdown_gives_a_running_trial_back_and_it_goes_on_from_its_checkpoint(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings):
        wait_for_checkpoint(database, trial_id)
    released = trial(database, trial_id)
    assert released.state is TrialState.QUEUED
    [attempt] = attempts(database, trial_id)
    assert (attempt.outcome, attempt.charged) == (Outcome.RELEASED, False)
    behave(database, trial_id, seed_of(fake_runner.well))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert attempts(database, trial_id)[-1].resumed_epoch == 1
    with database.snapshot() as session:
        assert session.get_one(Result, trial_id).summary["resumed"] == "state after 1"


def test_a_damaged_checkpoint_is_passed_over(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings):
        wait_for_checkpoint(database, trial_id)
    for path in settings.artifacts_dir.rglob("epoch-1.npz"):
        path.write_bytes(b"damaged")
    behave(database, trial_id, seed_of(fake_runner.well))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    with database.snapshot() as session:
        assert session.get_one(Result, trial_id).summary["resumed"] == ""
        kept = select(Checkpoint.epoch).where(
            Checkpoint.trial_id == trial_id, Checkpoint.deleted_at.is_(None)
        )
        assert set(session.scalars(kept)) == {2, 3}, "the damaged one pushes out no good one"
    assert attempts(database, trial_id)[-1].resumed_epoch is None
    log_key = attempts(database, trial_id)[-1].log_key
    assert log_key is not None
    with FolderStore(settings.artifacts_dir).get(log_key) as log:
        assert b"damaged or gone" in log.read()


@pytest.mark.parametrize("seen_before_the_claim", [True, False])
def test_no_checkpoint_is_given_up_while_the_store_is_away(
    database: Database,
    catalog: Catalog,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    seen_before_the_claim: bool,
) -> None:
    monkeypatch.setattr(retries, "WHEN_UNABLE", retries.Rule(most=10**6, delay_s=0.1))
    if not seen_before_the_claim:
        monkeypatch.setattr("worker.fitness.Fitness.hindrance", lambda *_: None)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.goes_on)))
    with running_pool(settings):
        wait_for_checkpoint(database, trial_id)
    behave(database, trial_id, seed_of(fake_runner.well))
    ask(database, "pause", trial_id)
    store, away = settings.artifacts_dir, settings.artifacts_dir.with_name("away")
    with running_pool(settings) as pool:
        store.rename(away)
        ask(database, "resume", trial_id)
        pool.ring()
        if seen_before_the_claim:
            wait_until(lambda: "is its share mounted" in pool.info()["0"]["does"], "the notice")
            assert len(attempts(database, trial_id)) == 1
        else:
            wait_until(
                lambda: (
                    attempts(database, trial_id)[1:2] != []
                    and attempts(database, trial_id)[1].reason_kind == "not_prepared"
                ),
                "an attempt in vain",
            )
        away.rename(store)
        pool.ring()
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert attempts(database, trial_id)[-1].resumed_epoch == 1


def test_a_full_disk_costs_one_checkpoint_then_the_trial_is_given_back(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderStore.put

    def full(self: FolderStore, key: str, source: Path) -> None:
        if key.endswith(tuple(refused)):
            raise OSError(28, "No space left on device")
        put(self, key, source)

    monkeypatch.setattr(FolderStore, "put", full)
    refused = ["epoch-2.npz"]
    [trial_id] = submit(database, catalog, behaving(0))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
        assert done.state is TrialState.SUCCEEDED, done.reason
        refused.append("epoch-3.npz")
        [other] = submit(database, catalog, behaving(0))
        wait_until(lambda: len(attempts(database, other)) == 1 and not runs(database, other))
    row = trial(database, other)
    assert row.state is TrialState.QUEUED
    assert "could not be stored" in (row.reason or "")
    with database.snapshot() as session:
        epochs = select(Checkpoint.epoch).where(Checkpoint.trial_id == trial_id)
        assert set(session.scalars(epochs)) == {1, 3}


def test_a_full_scratch_disk_gives_the_trial_back(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.finds_the_disk_full)))
    with running_pool(settings):
        wait_until(lambda: len(attempts(database, trial_id)) == 1 and not runs(database, trial_id))
    row = trial(database, trial_id)
    assert (row.state, row.losses) == (TrialState.QUEUED, 0)
    assert "No space left" in (row.reason or "")
    assert not attempts(database, trial_id)[0].charged
