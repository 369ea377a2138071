"""The time that a trial's row says it ran: what it waits in between does not count."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from db import claims, commands, owner
from db.engine import Database
from db.models import User
from db.reads.trials import trial_row
from db.states import Role
from labpool.catalog import Catalog
from tests.support.pool import person, slot, step_clock, submitted, trial

TTL_S = 90.0


@pytest.fixture
def trial_id(database: Database, catalog: Catalog) -> int:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session, role=Role.ADMIN))
    return trial_id


def take(database: Database, catalog: Catalog) -> claims.ClaimedTrial:
    with database.transaction() as session:
        found = claims.claim(session, slot(session, catalog), TTL_S)
    assert found is not None
    return found.trials[0]


def ran_s(database: Database, trial_id: int) -> float | None:
    with database.snapshot() as session:
        row = trial_row(session, trial_id)
    assert row is not None
    return row.seconds


def about(seconds: float) -> object:
    return pytest.approx(seconds, abs=20.0)


def cancel(database: Database, trial_id: int) -> None:
    with database.transaction() as session:
        commands.cancel_trial(session, trial(session, trial_id), session.get_one(User, 1))


def test_what_never_ran_has_no_time(database: Database, trial_id: int) -> None:
    step_clock(database, 1000)
    assert ran_s(database, trial_id) is None
    cancel(database, trial_id)
    assert ran_s(database, trial_id) is None


def fail_at_work(database: Database, work: claims.ClaimedTrial) -> None:
    with database.transaction() as session:
        owner.fail(session, work.trial_id, work.fence, "user_error", "It broke.")


def cancel_at_work(database: Database, work: claims.ClaimedTrial) -> None:
    with database.transaction() as session:
        owner.cancel(session, work.trial_id, work.fence, "Cancelled.")


@pytest.mark.parametrize("end", [fail_at_work, cancel_at_work])
def test_without_a_result_its_attempts_are_added_up(
    database: Database,
    catalog: Catalog,
    trial_id: int,
    end: Callable[[Database, claims.ClaimedTrial], None],
) -> None:
    first = take(database, catalog)
    step_clock(database, 100)
    assert ran_s(database, trial_id) == about(100), "it runs"
    with database.transaction() as session:
        owner.release(session, trial_id, first.fence, "The worker stops.")
    step_clock(database, 10_000)
    assert ran_s(database, trial_id) == about(100), "it waits"
    second = take(database, catalog)
    step_clock(database, 400)
    assert ran_s(database, trial_id) == about(500), "it runs again"
    end(database, second)
    step_clock(database, 10_000)
    assert ran_s(database, trial_id) == about(500), "it has ended"


def test_what_is_cancelled_while_it_waits_to_go_on_ran_as_long_as_before(
    database: Database, catalog: Catalog, trial_id: int
) -> None:
    work = take(database, catalog)
    step_clock(database, 100)
    with database.transaction() as session:
        owner.release(session, trial_id, work.fence, "The worker stops.")
    step_clock(database, 10_000)
    cancel(database, trial_id)
    assert ran_s(database, trial_id) == about(100)
