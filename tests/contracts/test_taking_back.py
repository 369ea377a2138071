"""What runs is taken back from the silent and the dead and goes on elsewhere, on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from db import claims, commands, findings, owner, sweeper
from db.engine import Database
from db.models import Attempt, Slot
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from tests.support.claimed import TTL_S, live_leases, state_of
from tests.support.pool import person, slot, step_clock, submitted, trial


@pytest.fixture
def claimed(database: Database, catalog: Catalog) -> claims.Claim:
    """One trial, claimed by one slot."""
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        found = claims.claim(session, slot(session, catalog), TTL_S)
    assert found is not None
    return found


def test_a_late_heartbeat_revives_what_nobody_took(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    step_clock(database, TTL_S + 1)
    fences = {work.trial_id: work.fence}
    with database.transaction() as session:
        beat = owner.heartbeat(session, claimed.lease_id, fences, TTL_S)
        assert beat.alive == {work.trial_id}
        assert sweeper.sweep_expired(session) == []


def test_a_heartbeat_after_the_sweep_says_so(database: Database, claimed: claims.Claim) -> None:
    [work] = claimed.trials
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        sweeper.sweep_expired(session)
        beat = owner.heartbeat(session, claimed.lease_id, {work.trial_id: work.fence}, TTL_S)
    assert beat.alive == frozenset()


def test_a_heartbeat_brings_progress_there_and_the_cancel_back(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, work.trial_id), person(session))
    with database.transaction() as session:
        beat = owner.heartbeat(
            session, claimed.lease_id, {work.trial_id: work.fence}, TTL_S,
            {work.trial_id: (3.0, 10.0, "epoch")},
        )  # fmt: skip
        assert beat.cancel == {work.trial_id}
        assert trial(session, work.trial_id).progress_done == 3.0


def test_a_cancelled_trial_does_not_come_back_when_its_worker_dies(
    database: Database, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, work.trial_id), person(session))
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        sweeper.sweep_expired(session)
    assert state_of(database, work.trial_id) is TrialState.CANCELLED


def test_cancelled_while_queued_never_runs(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        [trial_id] = submitted(session, catalog, user)
        commands.cancel_trial(session, trial(session, trial_id), user)
        assert claims.claim(session, slot(session, catalog), TTL_S) is None
    assert state_of(database, trial_id) is TrialState.CANCELLED


def test_the_third_loss_is_the_last(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
    for _ in range(3):
        with database.transaction() as session:
            assert claims.claim(session, slot(session, catalog), TTL_S) is not None
        step_clock(database, TTL_S + 1)
        with database.transaction() as session:
            assert sweeper.sweep_expired(session, max_losses=3) == [trial_id]
        step_clock(database, 21)
    with database.snapshot() as session:
        row = trial(session, trial_id)
        assert (row.state, row.losses) == (TrialState.LOST, 3)
        outcomes = session.scalars(select(Attempt.outcome)).all()
        assert outcomes == [Outcome.LOST] * 3
        assert not any(session.scalars(select(Attempt.charged)))


def test_the_dead_wait_for_no_lease_and_only_the_dead(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        dead, living = slot(session, catalog), slot(session, catalog)
        [lost, kept, flagged] = [submitted(session, catalog, user)[0] for _ in range(3)]
        assert claims.claim(session, dead, TTL_S) is not None
        assert claims.claim(session, living, TTL_S) is not None
        beside = replace(slot(session, catalog), worker_id=dead.worker_id)
        session.get_one(Slot, beside.slot_id).worker_id = dead.worker_id
        session.get_one(Slot, beside.slot_id).index = 1
        session.flush()
        assert claims.claim(session, beside, TTL_S) is not None
        commands.cancel_trial(session, trial(session, flagged), user)
    with database.transaction() as session:
        taken = sweeper.take_back_from_dead(session, [dead.worker_id])
        assert sorted(taken) == [lost, flagged]
        assert sweeper.take_back_from_dead(session, [dead.worker_id]) == []
    with database.snapshot() as session:
        states = [trial(session, number).state for number in (lost, kept, flagged)]
        assert states == [TrialState.QUEUED, TrialState.RUNNING, TrialState.CANCELLED]
        assert trial(session, lost).losses == 1
        outcomes = session.scalars(select(Attempt).where(Attempt.outcome.is_not(None))).all()
        assert not any(attempt.charged for attempt in outcomes)
    assert live_leases(database) == 1


def test_one_pass_takes_back_a_quarter_at_most(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        for _ in range(12):
            submitted(session, catalog, user)
            assert claims.claim(session, slot(session, catalog), TTL_S) is not None
    step_clock(database, TTL_S + 1)
    with database.transaction() as session:
        assert len(sweeper.sweep_expired(session)) == 3


def test_a_released_trial_waits_out_its_delay(
    database: Database, catalog: Catalog, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    with database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "the worker stops", delay_s=30)
        assert claims.claim(session, slot(session, catalog), TTL_S) is None
    step_clock(database, 31)
    with database.transaction() as session:
        again = claims.claim(session, slot(session, catalog), TTL_S)
    assert again is not None
    assert again.trials[0].seconds_used == 0.0


def test_resume_starts_at_the_furthest_checkpoint(
    database: Database, catalog: Catalog, claimed: claims.Claim
) -> None:
    [work] = claimed.trials
    dropped: list[str] = []
    with database.transaction() as session:
        for epoch, best in ((1, True), (2, False), (3, False), (4, False)):
            record = findings.CheckpointRecord(
                epoch, f"trials/1/1/epoch-{epoch}.npz", "0" * 64, 1, 0.5, best
            )
            dropped += findings.record_checkpoint(session, work.trial_id, work.fence, record)
        owner.release(session, work.trial_id, work.fence, "x")
        again = claims.claim(session, slot(session, catalog), TTL_S)
    assert dropped == ["trials/1/1/epoch-2.npz"], "the two newest and the best stay"
    assert again is not None
    assert again.trials[0].resume is not None
    assert again.trials[0].resume.epoch == 4
