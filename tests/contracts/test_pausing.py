"""Pause, hold and go on, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from db import claims, commands, owner, sweeper
from db.engine import Database
from db.errors import FencedOff, NotPossible
from db.models import Attempt, Lease, Slot, Trial, User, Worker
from db.states import Outcome, TrialState, Wish
from labpool.catalog import Catalog
from tests.support.pausing import TTL_S, Pool, released, running
from tests.support.pool import step_clock, submitted


@pytest.fixture
def pool(database: Database, catalog: Catalog) -> Pool:
    return Pool(database, catalog)


def test_pause_frees_the_slot_and_resume_goes_on_from_the_checkpoint(pool: Pool) -> None:
    work = running(pool)
    pool.ask("pause")
    assert pool.beat(work).wishes == {work.trial_id: Wish.PAUSE}
    pool.checkpoint(work)
    with pool.database.transaction() as session:
        owner.pause(session, work.trial_id, work.fence, progress=(3.0, 8.0, "epoch"))
    row = pool.now()
    assert (row.state, row.lease_id, row.wish, row.progress_done) == (
        TrialState.PAUSED, None, None, 3.0,
    )  # fmt: skip
    assert pool.claim() is None, "what is paused is not for any slot"
    with pool.database.snapshot() as session:
        attempt = session.scalars(select(Attempt)).one()
        assert (attempt.outcome, attempt.charged) == (Outcome.PAUSED, True)
    pool.ask("resume")
    again = running(pool)
    assert again.resume is not None
    assert (again.fence, again.resume.epoch) == (work.fence + 1, 3)
    assert pool.agrees()


def test_a_waiting_trial_is_held_and_let_go(pool: Pool) -> None:
    pool.ask("pause")
    pool.ask("pause")
    assert (pool.now().state, pool.now().held) == (TrialState.QUEUED, True)
    assert pool.claim() is None
    pool.ask("resume")
    pool.ask("resume")
    assert not pool.now().held
    assert running(pool).trial_id == pool.trial_id
    assert pool.agrees()


def test_a_wish_can_be_taken_back(pool: Pool) -> None:
    work = running(pool)
    pool.ask("pause")
    pool.ask("resume")
    assert pool.beat(work).wishes == {}
    pool.ask("stop")
    assert pool.beat(work).wishes == {work.trial_id: Wish.STOP}
    assert pool.agrees()


@pytest.mark.parametrize("late", ["resume", "stop"])
def test_a_runner_that_paused_before_it_could_hear_of_more_goes_on(pool: Pool, late: str) -> None:
    work = running(pool)
    pool.ask("pause")
    pool.checkpoint(work)
    pool.ask(late)
    with pool.database.transaction() as session:
        owner.pause(session, work.trial_id, work.fence)
    row = pool.now()
    assert (row.state, row.held) == (TrialState.QUEUED, False)
    again = running(pool)
    assert again.resume is not None and again.resume.epoch == 3
    assert again.wish == (Wish.STOP if late == "stop" else None)
    with pool.database.snapshot() as session:
        first = session.scalars(select(Attempt).order_by(Attempt.id)).first()
        assert first is not None and (first.outcome, first.charged) == (Outcome.PAUSED, True)
    assert pool.agrees()


def test_of_what_is_asked_of_a_running_trial_the_last_counts(pool: Pool) -> None:
    work = running(pool)
    for command, wish in [
        ("stop", Wish.STOP), ("pause", Wish.PAUSE), ("stop", Wish.STOP), ("resume", None),
    ]:  # fmt: skip
        pool.ask(command)
        assert pool.beat(work).wishes.get(work.trial_id) == wish, command
    assert pool.agrees()


def test_of_what_is_asked_of_a_waiting_trial_the_last_counts(pool: Pool) -> None:
    released(pool)
    for command, held, wish in [
        ("stop", False, Wish.STOP), ("pause", True, None), ("stop", False, Wish.STOP),
        ("resume", False, None), ("stop", False, Wish.STOP), ("pause", True, None),
        ("resume", False, None),
    ]:  # fmt: skip
        pool.ask(command)
        assert (pool.now().held, pool.now().wish) == (held, wish), command
    assert running(pool).wish is None
    assert pool.agrees()


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_an_ended_trial_cannot_be_asked_for_anything(pool: Pool, command: str) -> None:
    pool.ask("cancel")
    with pytest.raises(NotPossible, match="already cancelled"):
        pool.ask(command)
    assert pool.agrees()


def test_cancel_beats_every_wish(pool: Pool) -> None:
    work = running(pool)
    pool.ask("pause")
    pool.ask("cancel")
    beat = pool.beat(work)
    assert (beat.cancel, beat.wishes) == ({work.trial_id}, {})
    with pytest.raises(NotPossible, match="being cancelled"):
        pool.ask("stop")
    with pool.database.transaction() as session:
        owner.pause(session, work.trial_id, work.fence)
    assert pool.now().state is TrialState.CANCELLED
    assert pool.agrees()


def test_what_was_to_be_paused_waits_held_when_its_worker_is_lost(pool: Pool) -> None:
    running(pool)
    pool.ask("pause")
    step_clock(pool.database, TTL_S + 1)
    with pool.database.transaction() as session:
        assert sweeper.sweep_expired(session) == [pool.trial_id]
    row = pool.now()
    assert (row.state, row.held, row.wish, row.losses) == (TrialState.QUEUED, True, None, 1)
    assert pool.agrees()


def test_who_lost_the_fence_pauses_nothing(pool: Pool) -> None:
    work = running(pool)
    step_clock(pool.database, TTL_S + 1)
    with pool.database.transaction() as session:
        sweeper.sweep_expired(session)
    with pytest.raises(FencedOff), pool.database.transaction() as session:
        owner.pause(session, work.trial_id, work.fence)
    assert pool.now().state is TrialState.QUEUED


def test_a_draining_worker_claims_nothing(pool: Pool) -> None:
    with pool.database.transaction() as session:
        session.execute(update(Worker).values(drain_at=1.0))
    assert pool.claim() is None
    with pool.database.snapshot() as session:
        assert session.scalars(select(Slot)).one().state == "ready"


def test_a_group_is_one_lease_and_falls_apart_one_by_one(pool: Pool) -> None:
    with pool.database.transaction() as session:
        ids = submitted(
            session, pool.catalog, session.get_one(User, pool.ada.id),
            {"kind": "sweep", "base": {"kind": "train", "model": "mlp", "dataset": "digits"},
             "strategy": {"method": "grid"}, "space": {"learning_rate": [0.1, 0.2, 0.3, 0.4]}},
        )  # fmt: skip
        session.execute(update(Trial).where(Trial.id.in_(ids)).values(fuse_key="f" * 64))
        commands.cancel_trial(
            session, session.get_one(Trial, pool.trial_id), session.get_one(User, pool.ada.id)
        )
    with pool.database.transaction() as session:
        group = claims.claim(session, pool.slot, TTL_S, most=3)
    assert group is not None
    assert [member.trial_id for member in group.trials] == ids[:3]
    first, second, third = group.trials
    with pool.database.transaction() as session:
        owner.succeed(session, first.trial_id, first.fence, {}, {})
        owner.release(session, second.trial_id, second.fence, "The group crashed.", alone=True)
    with pool.database.snapshot() as session:
        lease = session.get_one(Lease, group.lease_id)
        assert lease.ended_at is None, "one member is still at work"
        attempts = session.scalars(select(Attempt).order_by(Attempt.id)).all()
        assert [attempt.charged for attempt in attempts] == [True, False, True]
    with pool.database.transaction() as session:
        owner.fail(session, third.trial_id, third.fence, "diverged", "NaN")
    with pool.database.transaction() as session:
        alone = claims.claim(session, pool.slot, TTL_S, most=3)
    assert alone is not None
    assert [member.trial_id for member in alone.trials] == [second.trial_id]
    assert pool.agrees()
