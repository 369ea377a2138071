"""Pause, resume, stop-and-keep and hold, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import claims, commands, findings, owner, replay, sweeper, transitions
from db.engine import Database
from db.errors import FencedOff, NotPossible
from db.models import Attempt, Experiment, Lease, Slot, Trial, User, Worker
from db.reads.trials import trial_row
from db.states import Outcome, TrialState, Wish
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted, trial

TTL_S = 90.0
CHECKPOINT = findings.CheckpointRecord(3, "trials/1/1/epoch-3.npz", "0" * 64, 10, 0.5, True)


class Pool:
    """One user, one trial and a slot, with short ways to ask and look."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self.database, self.catalog = database, catalog
        with database.transaction() as session:
            self.ada = person(session)
            [self.trial_id] = submitted(session, catalog, self.ada)
            self.slot = slot(session, catalog)

    def claim(self) -> claims.ClaimedTrial | None:
        with self.database.transaction() as session:
            found = claims.claim(session, self.slot, TTL_S)
        return found.trials[0] if found else None

    def ask(self, command: str) -> None:
        with self.database.transaction() as session:
            row = session.get_one(Trial, self.trial_id)
            getattr(commands, f"{command}_trial")(session, row, session.get_one(User, self.ada.id))

    def beat(self, work: claims.ClaimedTrial) -> owner.Beat:
        with self.database.transaction() as session:
            lease = session.scalars(select(Lease.id).where(Lease.ended_at.is_(None))).one()
            return owner.heartbeat(session, lease, {work.trial_id: work.fence}, TTL_S)

    def now(self) -> Trial:
        with self.database.snapshot() as session:
            return trial(session, self.trial_id)

    def checkpoint(self, work: claims.ClaimedTrial) -> None:
        with self.database.transaction() as session:
            findings.record_checkpoint(session, work.trial_id, work.fence, CHECKPOINT)

    def agrees(self) -> bool:
        with self.database.snapshot() as session:
            return not list(replay.differences(session))


@pytest.fixture
def pool(database: Database, catalog: Catalog) -> Pool:
    return Pool(database, catalog)


def running(pool: Pool) -> claims.ClaimedTrial:
    work = pool.claim()
    assert work is not None
    return work


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


def test_what_waits_with_a_checkpoint_can_be_stopped(pool: Pool) -> None:
    work = running(pool)
    pool.checkpoint(work)
    with pool.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "The worker was shut down.")
    pool.ask("pause")
    assert pool.now().held
    pool.ask("stop")
    pool.ask("stop")
    assert not pool.now().held
    assert running(pool).wish is Wish.STOP
    assert pool.agrees()


def released(pool: Pool) -> None:
    """It waits, with a checkpoint."""
    work = running(pool)
    pool.checkpoint(work)
    with pool.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "The worker was shut down.")


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


def test_what_waits_to_be_stopped_says_so(pool: Pool) -> None:
    released(pool)
    pool.ask("stop")
    with pool.database.snapshot() as session:
        row = trial_row(session, pool.trial_id)
    assert row is not None and row.pending == "stopping once it has a slot"


def test_what_is_stopped_while_paused_is_finished_by_the_next_slot(pool: Pool) -> None:
    work = running(pool)
    pool.ask("pause")
    with pool.database.transaction() as session:
        owner.pause(session, work.trial_id, work.fence)
    pool.ask("stop")
    again = running(pool)
    assert again.wish is Wish.STOP
    with pool.database.transaction() as session:
        owner.succeed(session, again.trial_id, again.fence, {"x": 1.0}, {}, ended_early=True)
    row = pool.now()
    assert (row.state, row.ended_early, row.wish) == (TrialState.SUCCEEDED, True, None)
    assert pool.agrees()


def test_a_cancel_says_whether_the_trial_ever_ran(pool: Pool) -> None:
    def cancelled(trial_id: int) -> str:
        with pool.database.transaction() as session:
            user = session.get_one(User, pool.ada.id)
            commands.cancel_trial(session, session.get_one(Trial, trial_id), user)
            return trial(session, trial_id).reason or ""

    with pool.database.transaction() as session:
        [never, paused] = [submitted(session, pool.catalog, pool.ada)[0] for _ in range(2)]
    released(pool)
    assert cancelled(pool.trial_id) == "Cancelled by user ada while it waited to go on."
    assert cancelled(never) == "Cancelled by user ada before it ran."
    work = running(pool)
    with pool.database.transaction() as session:
        commands.pause_trial(session, session.get_one(Trial, paused), person(session))
        owner.pause(session, work.trial_id, work.fence)
    assert cancelled(paused) == "Cancelled by user ada while it was paused."
    assert pool.agrees()


def stop_all(pool: Pool) -> int:
    with pool.database.transaction() as session:
        row = session.get_one(Trial, pool.trial_id)
        experiment = session.get_one(Experiment, row.experiment_id)
        return commands.stop_experiment(session, experiment, session.get_one(User, pool.ada.id))


def test_what_cannot_be_stopped_in_time_is_not_cancelled(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(pool)
    monkeypatch.setattr("db.transitions.wish", lambda *_, **__: False)
    assert stop_all(pool) == 0
    assert pool.now().state is TrialState.QUEUED


def test_what_a_slot_takes_while_its_experiment_is_stopped_is_kept(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = transitions.cancel_waiting

    def too_late(session: Session, row: Trial, *, actor: str) -> bool:
        assert claims.claim(session, pool.slot, TTL_S) is not None
        return cancel(session, row, actor=actor)

    monkeypatch.setattr("db.transitions.cancel_waiting", too_late)
    assert stop_all(pool) == 1
    row = pool.now()
    assert (row.state, row.wish, row.cancel_requested) == (TrialState.RUNNING, Wish.STOP, False)
    assert pool.agrees()


def test_what_never_ran_has_nothing_to_keep(pool: Pool) -> None:
    with pytest.raises(NotPossible, match="nothing to keep"):
        pool.ask("stop")


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


def test_what_was_to_be_stopped_is_told_to_its_next_slot(pool: Pool) -> None:
    work = running(pool)
    pool.ask("stop")
    with pool.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "The worker was shut down.")
    assert running(pool).wish is Wish.STOP
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
