"""Stop what there is, and keep it; and what cancelling overrules, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from db import claims, commands, owner, transitions
from db.engine import Database
from db.errors import NotPossible
from db.models import Experiment, Trial, User
from db.reads.trials import trial_row
from db.states import TrialState, Wish
from labpool.catalog import Catalog
from tests.support.pausing import TTL_S, Pool, released, running
from tests.support.pool import person, slot, submitted, trial


@pytest.fixture
def pool(database: Database, catalog: Catalog) -> Pool:
    return Pool(database, catalog)


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


def test_what_was_to_be_stopped_is_told_to_its_next_slot(pool: Pool) -> None:
    work = running(pool)
    pool.ask("stop")
    with pool.database.transaction() as session:
        owner.release(session, work.trial_id, work.fence, "The worker was shut down.")
    assert running(pool).wish is Wish.STOP
    assert pool.agrees()


@pytest.mark.parametrize("paused", [False, True])
def test_what_was_stopped_says_by_whom(pool: Pool, paused: bool) -> None:
    work = running(pool)
    if paused:
        pool.ask("pause")
        pool.checkpoint(work)
        with pool.database.transaction() as session:
            owner.pause(session, work.trial_id, work.fence, progress=(3.0, 8.0, "epoch"))
        pool.ask("stop")
        work = running(pool)
    else:
        pool.ask("stop")
    with pool.database.transaction() as session:
        owner.succeed(session, work.trial_id, work.fence, {}, {}, ended_early=True)
    row = pool.now()
    assert (row.reason_kind, row.reason) == ("ended_early", "Stopped by ada.")
    assert pool.agrees()


@pytest.mark.parametrize("early", [True, False])
def test_what_stopped_by_itself_says_for_how_long_it_got_no_better(
    database: Database, catalog: Catalog, early: bool
) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session), {"early_stopping_patience": 2})
        found = claims.claim(session, slot(session, catalog), 90.0)
        assert found is not None
        fence = found.trials[0].fence
        owner.succeed(session, trial_id, fence, {}, {}, ended_early=early)
    with database.snapshot() as session:
        assert trial(session, trial_id).reason == ("No better for 2 epochs." if early else None)
