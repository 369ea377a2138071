"""A slot that is asked to pause, resume, stop and cancel, for one trial and for a group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from db import claims, replay
from db.artifacts import FolderStore
from db.engine import Database
from db.models import Lease, MetricChunk, Result, Trial
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import fake_runner
from tests.support.fake_runner import seed_of
from tests.support.slots import (
    ask,
    attempts,
    behave,
    behaving,
    running_pool,
    settings_for,
    submit,
    take_away,
    trial,
    wait_for_end,
    wait_for_state,
    wait_until,
)
from worker import process_group


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return settings_for(database, tmp_path)


def begun(database: Database, trial_id: int) -> None:
    """Wait for its first epoch."""
    wait_until(lambda: trial(database, trial_id).progress_done > 0, "a first epoch")


def summary_of(database: Database, trial_id: int) -> dict[str, Any]:
    with database.snapshot() as session:
        return dict(session.get_one(Result, trial_id).summary)


def assert_log_agrees(database: Database) -> None:
    with database.snapshot() as session:
        assert list(replay.differences(session)) == []
        assert session.scalars(select(Lease.id).where(Lease.ended_at.is_(None))).all() == []


def test_pause_frees_the_slot_resume_goes_on_and_stop_keeps(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [first] = submit(database, catalog, behaving(seed_of(fake_runner.heeds)))
    with running_pool(settings):
        begun(database, first)
        ask(database, "pause", first)
        paused = wait_for_state(database, first, TrialState.PAUSED)
        assert paused.lease_id is None and paused.wish is None
        epochs = int(paused.progress_done)
        [other] = submit(database, catalog, behaving(seed_of(fake_runner.well)))
        assert wait_for_end(database, other)[0].state is TrialState.SUCCEEDED
        ask(database, "resume", first)
        wait_until(lambda: trial(database, first).progress_done > epochs, "more epochs")
        ask(database, "stop", first)
        [done] = wait_for_end(database, first)
    assert (done.state, done.ended_early) == (TrialState.SUCCEEDED, True)
    assert [row.outcome for row in attempts(database, first)] == [
        Outcome.PAUSED,
        Outcome.SUCCEEDED,
    ]
    assert attempts(database, first)[1].resumed_epoch == epochs
    summary = summary_of(database, first)
    assert summary["first"] == epochs and summary["epochs"] > epochs
    with database.snapshot() as session:
        chunks = session.scalars(
            select(MetricChunk)
            .where(MetricChunk.trial_id == first, MetricChunk.name == "val_accuracy")
            .order_by(MetricChunk.id)
        )
        measured = [step for chunk in chunks for step in chunk.steps]
    assert measured == list(range(1, summary["epochs"] + 1)), "each epoch once"
    assert done.progress_done == summary["epochs"]
    assert_log_agrees(database)


def test_what_is_stopped_while_paused_ends_with_what_it_has(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.heeds)))
    with running_pool(settings):
        begun(database, trial_id)
        ask(database, "pause", trial_id)
        paused = wait_for_state(database, trial_id, TrialState.PAUSED)
        ask(database, "stop", trial_id)
        [done] = wait_for_end(database, trial_id)
    assert (done.state, done.ended_early) == (TrialState.SUCCEEDED, True)
    summary = summary_of(database, trial_id)
    # It hears of the wish with the trial, but it may have begun an epoch by then.
    assert paused.progress_done == summary["first"]
    assert_log_agrees(database)


def test_a_wish_that_was_taken_back_leaves_no_trace(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    # No beat comes by itself: the runner hears of both, or of neither, when the bell rings.
    slow = settings.model_copy(update={"beat_s": 3600.0, "lease_ttl_s": 7200.0})
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.heeds)))
    with running_pool(slow) as pool:
        begun(database, trial_id)
        ask(database, "pause", trial_id)
        ask(database, "resume", trial_id)
        pool.ring()
        done = trial(database, trial_id).progress_done
        wait_until(lambda: trial(database, trial_id).progress_done > done + 3, "more epochs")
        ask(database, "stop", trial_id)
        pool.ring()
        [ended] = wait_for_end(database, trial_id)
    assert ended.state is TrialState.SUCCEEDED
    assert len(attempts(database, trial_id)) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "behaviour", [fake_runner.pauses_unasked, fake_runner.pauses_without_a_checkpoint]
)
def test_a_runner_that_lies_about_a_pause_is_ended(
    database: Database, catalog: Catalog, settings: Settings, behaviour: Any
) -> None:
    [trial_id] = submit(database, catalog, behaving(seed_of(behaviour)))
    with running_pool(settings):
        if behaviour is fake_runner.pauses_without_a_checkpoint:
            begun(database, trial_id)
            ask(database, "pause", trial_id)
        [done] = wait_for_end(database, trial_id)
    assert (done.state, done.reason_kind) == (TrialState.FAILED, "internal")
    assert "paused a trial" in (done.reason or "")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_pause_whose_checkpoint_cannot_be_stored_is_none(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderStore.put

    def full(self: FolderStore, key: str, source: Path) -> None:
        if key.endswith(".npz"):
            raise OSError(28, "No space left on device")
        put(self, key, source)

    monkeypatch.setattr(FolderStore, "put", full)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.saves_when_asked)))
    with running_pool(settings):
        wait_for_state(database, trial_id, TrialState.RUNNING)
        ask(database, "pause", trial_id)
        row = wait_for_state(database, trial_id, TrialState.QUEUED)
    assert row.held, "it was to be paused, so it waits"
    [attempt] = attempts(database, trial_id)
    assert (attempt.outcome, attempt.charged) == (Outcome.RELEASED, False)
    assert_log_agrees(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_cancel_ends_a_stuck_c_call_and_all_that_it_started(
    database: Database, catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.holding.CANCEL_GRACE_S", 0.5)
    [trial_id] = submit(database, catalog, behaving(seed_of(fake_runner.hangs_with_a_child)))
    with running_pool(settings) as pool:
        begun(database, trial_id)
        runner = pool.slots[0]._runners.current
        assert runner is not None
        members = process_group.members(runner.pid)
        assert len(members) == 2
        ask(database, "cancel", trial_id)
        [done] = wait_for_end(database, trial_id)
        assert done.state is TrialState.CANCELLED
        wait_until(lambda: process_group.living(runner.pid) == [], "an empty group")
    assert_log_agrees(database)


# Groups: several trials in one lease.


@pytest.fixture
def grouping(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots that take up to three trials of one fuse key together."""
    claim = claims.claim

    def claim_three(*arguments: Any, **more: Any) -> claims.Claim | None:
        return claim(*arguments, **{**more, "most": 3})

    monkeypatch.setattr(claims, "claim", claim_three)


def group_of(database: Database, catalog: Catalog, *behaviours: Any) -> list[int]:
    """Trials of one experiment that may be trained together, each with its behaviour."""
    spec = {
        "kind": "sweep",
        "base": behaving(0),
        "strategy": {"method": "grid"},
        "space": {"learning_rate": [0.1 * (number + 1) for number in range(len(behaviours))]},
    }
    ids = submit(database, catalog, spec)
    database.run(
        lambda session: session.execute(
            update(Trial).where(Trial.id.in_(ids)).values(fuse_key="f" * 64)
        )
    )
    for trial_id, behaviour in zip(ids, behaviours, strict=True):
        behave(database, trial_id, seed_of(behaviour))
    return ids


@pytest.mark.usefixtures("grouping")
def test_a_crashed_group_runs_on_one_by_one_and_shows_whose_fault_it_was(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    ids = group_of(database, catalog, fake_runner.well, fake_runner.exits, fake_runner.well)
    with running_pool(settings):
        before, guilty, beside = wait_for_end(database, *ids)
    assert (before.state, before.alone) == (TrialState.SUCCEEDED, False)
    assert (guilty.state, guilty.reason_kind) == (TrialState.FAILED, "crashed")
    assert (beside.state, beside.alone) == (TrialState.SUCCEEDED, True)
    assert len({attempts(database, trial_id)[0].lease_id for trial_id in ids}) == 1
    for trial_id in ids[1:]:
        first, second = attempts(database, trial_id)
        assert (first.outcome, first.charged) == (Outcome.RELEASED, False)
        assert "crashed" in (first.reason or "")
        assert second.charged
    assert_log_agrees(database)


@pytest.mark.usefixtures("grouping")
def test_a_cancelled_member_drops_out_and_the_others_go_on(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    ids = group_of(database, catalog, fake_runner.heeds, fake_runner.well, fake_runner.well)
    with running_pool(settings):
        begun(database, ids[0])
        ask(database, "cancel", ids[1])
        # The first is at work all the while; who waits behind it does not wait for it to end.
        assert wait_for_end(database, ids[1])[0].state is TrialState.CANCELLED
        assert trial(database, ids[0]).state is TrialState.RUNNING
        ask(database, "stop", ids[0])
        ended = wait_for_end(database, *ids)
    assert [row.state for row in ended] == [
        TrialState.SUCCEEDED,
        TrialState.CANCELLED,
        TrialState.SUCCEEDED,
    ]
    assert {len(attempts(database, trial_id)) for trial_id in ids} == {1}
    assert_log_agrees(database)


@pytest.mark.usefixtures("grouping")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_fenced_off_member_is_dropped_and_the_others_go_on(
    database: Database, catalog: Catalog, settings: Settings, lost: int
) -> None:
    ids = group_of(database, catalog, fake_runner.heeds, fake_runner.heeds)
    with running_pool(settings):
        begun(database, ids[0])
        take_away(database, ids[lost])
        kept = ids[1 - lost]
        behave(database, ids[lost], seed_of(fake_runner.well))
        begun(database, kept)
        ask(database, "stop", kept)
        ended = wait_for_end(database, *ids)
    assert {row.state for row in ended} == {TrialState.SUCCEEDED}
    assert len(attempts(database, kept)) == 1
    assert [row.outcome for row in attempts(database, ids[lost])] == [
        Outcome.LOST,
        Outcome.SUCCEEDED,
    ]
    assert_log_agrees(database)


@pytest.mark.usefixtures("grouping")
def test_a_paused_member_leaves_the_others_at_work(
    database: Database, catalog: Catalog, settings: Settings
) -> None:
    ids = group_of(database, catalog, fake_runner.heeds, fake_runner.heeds)
    with running_pool(settings):
        begun(database, ids[0])
        ask(database, "pause", ids[0])
        wait_for_state(database, ids[0], TrialState.PAUSED)
        begun(database, ids[1])
        ask(database, "resume", ids[0])
        assert trial(database, ids[0]).state is TrialState.QUEUED, "its slot is still taken"
        ask(database, "stop", ids[1])
        wait_for_end(database, ids[1])
        wait_for_state(database, ids[0], TrialState.RUNNING)
        ask(database, "cancel", ids[0])
        wait_for_end(database, *ids)
    assert trial(database, ids[1]).state is TrialState.SUCCEEDED
    assert_log_agrees(database)
