"""What is tried again, and when it is given up, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from db import claims, commands, findings, owner, retries, sweeper, waiting
from db.engine import Database
from db.errors import FencedOff
from db.models import Attempt, Result, Trial, Usage
from db.replay import differences
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial

TTL_S = 90.0


@pytest.fixture
def trial_id(database: Database, catalog: Catalog) -> int:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
    return trial_id


def take(database: Database, catalog: Catalog) -> claims.ClaimedTrial | None:
    with database.transaction() as session:
        found = claims.claim(session, slot(session, catalog), TTL_S)
    return found.trials[0] if found is not None else None


def took(database: Database, catalog: Catalog) -> claims.ClaimedTrial:
    work = take(database, catalog)
    assert work is not None
    return work


def fail(database: Database, work: claims.ClaimedTrial, kind: str, wait_s: float = 1.0) -> Trial:
    """It fails ``wait_s`` seconds after its claim."""
    step_clock(database, wait_s)
    with database.transaction() as session:
        owner.fail(session, work.trial_id, work.fence, kind, "It broke.", log_tail="the log")
    return row(database, work.trial_id)


def row(database: Database, trial_id: int) -> Trial:
    with database.snapshot() as session:
        assert list(differences(session)) == []
        return trial(session, trial_id)


def use_s(database: Database) -> float:
    with database.snapshot() as session:
        return sum(session.scalars(select(Usage.slot_seconds)))


def test_a_failed_gpu_is_tried_elsewhere_with_growing_delays(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    for retry, delay_s in enumerate((30, 60, 120), start=1):
        found = fail(database, took(database, catalog), "gpu_fault")
        assert (found.state, found.reason_kind) == (TrialState.QUEUED, "gpu_fault")
        assert f"It broke. Next try ({retry} of 3) {delay_s} s later." in (found.reason or "")
        with database.snapshot() as session:
            assert "before the next try: It broke." in (
                waiting.why_waiting(session, trial(session, trial_id)) or ""
            )
        step_clock(database, delay_s - 15)
        assert take(database, catalog) is None
        step_clock(database, 16)
    found = fail(database, took(database, catalog), "gpu_fault")
    assert (found.state, found.reason_kind) == (TrialState.FAILED, "gpu_fault")
    assert "Tried 4 times; given up." in (found.reason or "")
    with database.snapshot() as session:
        attempts = session.scalars(select(Attempt).order_by(Attempt.id)).all()
        assert [one.outcome for one in attempts] == [Outcome.RELEASED] * 3 + [Outcome.FAILED]
        assert {one.log_tail for one in attempts} == {"the log"}
        assert not any(one.charged for one in attempts)
    assert use_s(database) == 0.0


def test_want_of_memory_is_tried_once_more_and_alone(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    found = fail(database, took(database, catalog), "out_of_memory")
    assert (found.state, found.alone) == (TrialState.QUEUED, True)
    assert use_s(database) == 0.0
    step_clock(database, 61)
    found = fail(database, took(database, catalog), "out_of_memory", wait_s=10)
    assert found.state is TrialState.FAILED
    assert use_s(database) >= 10.0, "the second time it is the trial that wants too much"


@pytest.mark.parametrize("kind", ["user_error", "crashed", "diverged", "time_limit", "internal"])
def test_what_would_fail_again_fails_at_once(
    database: Database, catalog: Catalog, trial_id: int, kind: str
) -> None:
    found = fail(database, took(database, catalog), kind)
    assert (found.state, found.reason) == (TrialState.FAILED, "It broke.")


def test_each_kind_counts_for_itself(database: Database, catalog: Catalog, trial_id: int) -> None:
    for kind in ("gpu_fault", "gpu_fault", "gpu_fault", "out_of_memory"):
        assert fail(database, took(database, catalog), kind).state is TrialState.QUEUED
        step_clock(database, 200)
    assert fail(database, took(database, catalog), "gpu_fault").state is TrialState.FAILED


def unable(database: Database, work: claims.ClaimedTrial, kind: str) -> Trial:
    with database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "No room.", 30.0, reason_kind=kind)
    return row(database, work.trial_id)


def test_what_no_host_can_run_is_given_up_in_the_end(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    kinds = sorted(retries.UNABLE) * 3
    for kind in kinds:
        found = unable(database, took(database, catalog), kind)
        assert (found.state, found.reason_kind) == (TrialState.QUEUED, kind)
        step_clock(database, retries.LONGEST_DELAY_S + 1)
    work = took(database, catalog)
    with database.transaction() as session:
        # A worker that is shut down is no trouble of its host: it neither counts nor begins anew.
        owner.release(session, work.trial_id, work.fence, "Its worker was shut down.")
    found = unable(database, took(database, catalog), "no_runner")
    assert (found.state, found.reason_kind) == (TrialState.FAILED, "no_runner")
    assert "10th time in a row" in (found.reason or "")
    assert use_s(database) == 0.0


def test_a_new_checkpoint_begins_the_row_anew(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    for number in range(12):
        work = took(database, catalog)
        if number == 5:
            record = findings.CheckpointRecord(1, "a", "0" * 64, 1, 0.5, True)
            with database.transaction() as session:
                findings.record_checkpoint(session, work.trial_id, work.fence, record)
        assert unable(database, work, "disk_full").state is TrialState.QUEUED
        step_clock(database, retries.LONGEST_DELAY_S + 1)


@pytest.mark.parametrize("kind", ["gpu_fault", "out_of_memory"])
def test_a_cancelled_one_does_not_come_back(
    database: Database, catalog: Catalog, trial_id: int, kind: str
) -> None:
    work = took(database, catalog)
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, trial_id), person(session))
    assert fail(database, work, kind).state is TrialState.CANCELLED


@pytest.mark.parametrize("how", ["gpu_fault", "no_runner", None])
def test_the_pools_waste_is_free_for_a_cancelled_one_too(
    database: Database, catalog: Catalog, trial_id: int, how: str | None
) -> None:
    work = took(database, catalog)
    with database.transaction() as session:
        commands.cancel_trial(session, session.get_one(Trial, trial_id), person(session))
    step_clock(database, 3600.0)
    with database.transaction() as session:
        if how == "gpu_fault":
            owner.fail(session, trial_id, work.fence, how, "It fell off the bus.")
        else:
            owner.release(session, trial_id, work.fence, "Its worker ended.", reason_kind=how)
    assert row(database, trial_id).state is TrialState.CANCELLED
    assert use_s(database) == 0.0


def test_a_retry_needs_the_fence(database: Database, catalog: Catalog, trial_id: int) -> None:
    work = took(database, catalog)
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        assert sweeper.sweep_expired(session) == [trial_id]
    with pytest.raises(FencedOff):
        fail(database, work, "gpu_fault")


def test_a_runner_killed_from_outside_is_tried_again_as_long_as_it_gets_on(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    for epoch in range(1, 6):
        work = took(database, catalog)
        with database.transaction() as session:
            record = findings.CheckpointRecord(epoch, f"{epoch}.npz", "0" * 64, 1, 0.5, True)
            findings.record_checkpoint(session, work.trial_id, work.fence, record)
        found = fail(database, work, "killed")
        assert (found.state, found.reason) == (
            TrialState.QUEUED,
            "It broke. Next try (1 of 2) at once.",
        )
    for retry in (1, 2):
        found = fail(database, took(database, catalog), "killed")
        assert (found.state, found.reason) == (
            TrialState.QUEUED,
            f"It broke. Next try ({retry} of 2) at once.",
        )
    found = fail(database, took(database, catalog), "killed")
    assert (found.state, found.reason_kind) == (TrialState.FAILED, "killed")
    assert use_s(database) == 0.0


def test_who_kills_itself_comes_to_its_time_limit_all_the_same(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    fail(database, took(database, catalog), "killed", wait_s=100.0)
    work = took(database, catalog)
    assert work.seconds_used == pytest.approx(100.0, abs=50.0)
    # What the machines wasted does not count.
    fail(database, work, "gpu_fault", wait_s=1000.0)
    step_clock(database, 31)
    assert took(database, catalog).seconds_used == work.seconds_used
    assert use_s(database) == 0.0


def lose(database: Database, work: claims.ClaimedTrial, max_losses: int) -> Trial:
    """Its worker dies, and another is started on its host at once."""
    with database.transaction() as session:
        worker_ids = session.scalars(select(Attempt.worker_id).where(Attempt.ended_at.is_(None)))
        sweeper.take_back_from_dead(session, worker_ids.all(), max_losses)
    return row(database, work.trial_id)


def test_what_is_lost_again_and_again_waits_longer_each_time(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    assert lose(database, took(database, catalog), 5).state is TrialState.QUEUED
    for loss, delay_s in enumerate((20, 40, 80), start=2):
        # The first time it goes on at once, each later time after twice as long.
        found = lose(database, took(database, catalog), 5)
        assert (found.state, found.losses) == (TrialState.QUEUED, loss)
        assert f"Next try ({loss} of 4) {delay_s} s later." in (found.reason or "")
        step_clock(database, delay_s - 15)
        assert take(database, catalog) is None
        step_clock(database, 16)
    found = lose(database, took(database, catalog), 5)
    assert (found.state, found.losses) == (TrialState.LOST, 5)


def test_a_loss_after_a_new_checkpoint_is_a_first_one(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    for epoch in range(1, 4):
        work = took(database, catalog)
        with database.transaction() as session:
            record = findings.CheckpointRecord(epoch, f"{epoch}.npz", "0" * 64, 1, 0.5, True)
            findings.record_checkpoint(session, work.trial_id, work.fence, record)
        found = lose(database, work, 9)
        assert (found.state, found.losses, found.not_before) == (TrialState.QUEUED, epoch, None)


def took_together(database: Database, catalog: Catalog) -> tuple[claims.ClaimedTrial, ...]:
    """Two trials in one lease."""
    sweep = {
        "kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"}, "space": {"seed": [1, 2]},
    }  # fmt: skip
    with database.transaction() as session:
        submitted(session, catalog, person(session), sweep)
        session.execute(update(Trial).values(fuse_key="the same"))
        found = claims.claim(session, slot(session, catalog), TTL_S, most=2)
    assert found is not None and len(found.trials) == 2
    return found.trials


def test_the_time_of_a_group_is_counted_once(database: Database, catalog: Catalog) -> None:
    members = took_together(database, catalog)
    step_clock(database, 1000)
    for member in members:
        with database.transaction() as session:
            owner.succeed(session, member.trial_id, member.fence, {"x": 1.0}, {})
    with database.snapshot() as session:
        told = session.scalars(select(Result.seconds).order_by(Result.trial_id)).all()
        charged = session.scalars(select(Attempt.slot_seconds).order_by(Attempt.trial_id)).all()
    assert told == pytest.approx(charged, abs=5.0)
    assert sum(told) == pytest.approx(1000.0, abs=100.0)


def test_who_is_lost_together_goes_on_alone(database: Database, catalog: Catalog) -> None:
    members = took_together(database, catalog)
    lose(database, members[0], 3)
    ids = [member.trial_id for member in members]
    assert [row(database, number).alone for number in ids] == [True, True]
    lose(database, took(database, catalog), 3)
    assert row(database, ids[0]).losses + row(database, ids[1]).losses == 3


def test_a_trial_lost_by_itself_may_be_grouped_again(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    assert not lose(database, took(database, catalog), 3).alone
