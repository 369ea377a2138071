"""Two who do the same thing at once, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db import claims, commands, owner, submissions, users, workers
from db.engine import Database
from db.errors import NotPossible, QueueFull
from db.models import Attempt, Experiment, Lease, PoolSetting, Usage, User
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from labpool.planning import Plan, plan
from tests.support.pool import TRAIN, person, slot, submitted, trial

TTL_S = 90.0


def at_once(*works: Callable[[], Any]) -> list[BaseException]:
    """Run all together; what they raised."""
    barrier = threading.Barrier(len(works))
    raised: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@pytest.mark.parametrize("attempt", range(3))
def test_a_users_first_trials_end_together(
    database: Database, catalog: Catalog, attempt: int
) -> None:
    with database.transaction() as session:
        held = []
        for _ in range(4):
            submitted(session, catalog, person(session))
            found = claims.claim(session, slot(session, catalog), TTL_S)
            assert found is not None
            held.append(found.trials[0])

    def end(work: claims.ClaimedTrial) -> Callable[[], None]:
        return lambda: database.run(
            lambda session: owner.succeed(session, work.trial_id, work.fence, {}, {})
        )

    assert at_once(*(end(work) for work in held)) == []
    with database.snapshot() as session:
        assert {trial(session, work.trial_id).state for work in held} == {TrialState.SUCCEEDED}
        used = session.scalars(select(Usage.slot_seconds)).one()
        spent = session.scalar(select(func.sum(Attempt.slot_seconds)))
        assert used == pytest.approx(spent, rel=1e-6)


def test_the_pools_first_workers_register_together(database: Database) -> None:
    def register(name: str, store: str) -> Callable[[], Any]:
        info = workers.WorkerInfo(name, "here", 1, "0", [], [], store)
        return lambda: database.run(lambda session: workers.register_worker(session, info, []))

    assert at_once(*(register(f"w{number}", "one") for number in range(4))) == []
    with database.snapshot() as session:
        assert session.scalars(select(PoolSetting.value)).all() == ["one"]


def test_two_admins_shut_each_other_out(database: Database) -> None:
    with database.transaction() as session:
        for name in ("one", "two"):
            users.add_user(session, name, "admin")

    def shut_out(name: str) -> Callable[[], Any]:
        return lambda: database.run(lambda session: users.set_user_disabled(session, name, True))

    [refused] = at_once(shut_out("one"), shut_out("two"))
    assert isinstance(refused, NotPossible)
    with database.snapshot() as session:
        assert sum(user.disabled_at is None for user in users.list_users(session)) == 1


def test_the_cap_holds_for_submissions_at_once_and_for_retries(
    database: Database, catalog: Catalog
) -> None:
    planned = plan(TRAIN, catalog)
    with database.transaction() as session:
        [ended] = submitted(session, catalog, person(session))
        commands.cancel_trial(session, trial(session, ended), person(session))

    def submit() -> None:
        database.run(
            lambda session: submissions.submit(session, person(session), planned, max_queued=2)
        )

    raised = at_once(*[submit] * 5)
    assert len(raised) == 3
    assert all(isinstance(error, QueueFull) for error in raised)
    with pytest.raises(QueueFull), database.transaction() as session:
        commands.retry_trial(session, trial(session, ended), person(session), max_queued=2)


def test_a_claim_whose_answer_was_lost_is_given_back(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
        here = slot(session, catalog)
        assert claims.claim(session, here, TTL_S) is not None
    with database.transaction() as session:
        assert claims.claim(session, here, TTL_S) is None
        claims.give_back(session, here)
    with database.transaction() as session:
        row = trial(session, trial_id)
        assert (row.state, row.losses) == (TrialState.QUEUED, 0)
        assert session.scalars(select(Attempt.outcome)).one() is Outcome.RELEASED
        assert session.scalar(select(func.count()).where(Lease.ended_at.is_(None))) == 0
        assert claims.claim(session, here, TTL_S) is not None
        claims.give_back(session, slot(session, catalog))
    with database.snapshot() as session:
        assert trial(session, trial_id).state is TrialState.RUNNING, "another slot's is left alone"


def test_a_repeat_is_answered_whatever_has_changed_since(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        user = person(session)
        assert submissions.replayed(session, user, "key", "digest") is None
        made = submissions.submit(session, user, plan(TRAIN, catalog), "key", "digest")
        again = submissions.replayed(session, user, "key", "digest")
        assert again is not None
        assert (again.experiment_id, again.replayed) == (made.experiment_id, True)


def test_the_attempt_says_where_it_really_resumed(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        found = claims.claim(session, slot(session, catalog), TTL_S)
        assert found is not None
        [work] = found.trials
        owner.note_started(session, work.trial_id, work.fence, {"resumed_epoch": None})
        owner.note_started(session, work.trial_id, work.fence, {"resumed_epoch": 3})
        assert session.scalars(select(Attempt.resumed_epoch)).one() == 3


def test_a_users_submissions_at_once_do_not_lock_each_other_out(
    database: Database, catalog: Catalog
) -> None:
    planned = plan(TRAIN, catalog)
    with database.transaction() as session:
        user_id = person(session).id
    connected = threading.Barrier(8)

    def submit(client: int) -> None:
        # What is to overlap is the work, not the connecting.
        database.ping()
        connected.wait(60)
        for number in range(5):
            work = partial(_submit_with_key, user_id, planned, f"{client}-{number}")
            # One try: a deadlock is not to be mended by another.
            database.run(work, attempts=1)

    assert at_once(*(partial(submit, client) for client in range(8))) == []
    with database.snapshot() as session:
        assert session.scalar(select(func.count()).select_from(Experiment)) == 40


def _submit_with_key(user_id: int, planned: Plan, key: str, session: Session) -> None:
    submissions.submit(session, session.get_one(User, user_id), planned, key, "digest")
