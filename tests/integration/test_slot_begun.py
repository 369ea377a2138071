"""A slot brings the weights that a trial begins with, or says that they are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from db import origins, submissions
from db.artifacts import FolderStore
from db.checkpoints import best_point
from db.engine import Database
from db.models import Result
from db.states import TrialState
from labpool.catalog import Catalog
from labpool.planning import plan
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.pool import person
from tests.support.slot_acts import wait_for_checkpoint
from tests.support.slots import (
    attempts,
    behave,
    behaving,
    running_pool,
    settings_for,
    submit,
    trial,
    wait_for_end,
)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def begun(database: Database, catalog: Catalog, source: int, behaviour: str = "well") -> int:
    """A trial that begins with the best weights of `source`."""
    seed = seed_of(getattr(fake_runner, behaviour))
    planned = plan(behaving(seed, init_from=source), catalog)
    return database.run(
        lambda session: submissions.submit(
            session, person(session), origins.pin(session, planned)
        ).trial_ids[0]
    )


def key_of_best(database: Database, trial_id: int) -> str:
    with database.snapshot() as session:
        point = best_point(session, trial_id)
    assert point is not None
    return point.key


def test_it_works(database: Database, catalog: Catalog, settings: Settings) -> None:
    [source] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        wait_for_end(database, source)
        trial_id = begun(database, catalog, source)
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    assert done.spec["init_from"].startswith(f"{source}@")
    kept = FolderStore(settings.artifacts_dir).get(key_of_best(database, source))
    with kept, database.snapshot() as session:
        found = session.get_one(Result, trial_id).summary
        assert found["origin"] == kept.read().decode()[:13] and found["resumed"] == ""


@pytest.mark.parametrize("damage", ["gone", "other bytes"])
def test_weights_that_are_gone_fail_the_trial_for_good(
    database: Database, catalog: Catalog, settings: Settings, damage: str
) -> None:
    [source] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        wait_for_end(database, source)
    trial_id = begun(database, catalog, source)
    path = settings.artifacts_dir / key_of_best(database, source)
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    [after] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        failed, well = wait_for_end(database, trial_id, after)
    assert (failed.state, failed.reason_kind) == (TrialState.FAILED, "internal")
    assert failed.reason is not None and f"trial {source}" in failed.reason
    assert "or run it again" in failed.reason
    assert len(attempts(database, trial_id)) == 1, "it would not be there another time either"
    assert well.state is TrialState.SUCCEEDED, "the slot goes on"


def test_who_is_past_its_beginning_needs_it_no_more(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [source] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
    with running_pool(settings):
        wait_for_end(database, source)
        trial_id = begun(database, catalog, source, "goes_on")
        wait_for_checkpoint(database, trial_id)
    assert trial(database, trial_id).state is TrialState.QUEUED
    (settings.artifacts_dir / key_of_best(database, source)).unlink()
    behave(database, trial_id, seed_of(fake_runner.well))
    with running_pool(settings):
        [done] = wait_for_end(database, trial_id)
    assert done.state is TrialState.SUCCEEDED, done.reason
    with database.snapshot() as session:
        summary = session.get_one(Result, trial_id).summary
    assert summary["resumed"] == "state after 1" and summary["origin"] == ""
