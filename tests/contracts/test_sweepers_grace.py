"""Who may take expired leases back, and when: not before everybody could have beaten again."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from db import claims
from db.engine import Database
from db.sweeper import Sweeper, sweep_expired
from db.workers import beat_worker
from labpool.catalog import Catalog
from tests.support import pool
from worker.database_access import DatabaseAccess, DatabaseAway


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_process_knows_nothing_of_what_was_before_its_time(database: Database) -> None:
    clock = Clock()
    access = DatabaseAccess(database, clock)
    assert not access.quiet_for(90.0)
    clock.now_s += 89.0
    assert not access.quiet_for(90.0)
    clock.now_s += 1.0
    assert access.quiet_for(90.0)


def test_an_outage_and_an_absence_begin_the_time_anew(database: Database) -> None:
    clock = Clock()
    access = DatabaseAccess(database, clock)
    clock.now_s += 90.0
    access.note_absence()
    assert not access.quiet_for(90.0)
    clock.now_s += 90.0
    assert access.quiet_for(90.0)

    def fail() -> None:
        raise OSError("no route to host")

    with pytest.raises(DatabaseAway):
        access.attempt(fail)
    assert not access.quiet_for(90.0)
    access.read(lambda session: session.execute(text("SELECT 1")))
    assert not access.quiet_for(90.0)


def test_a_worker_hears_for_how_long_it_was_silent(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        worker_id = pool.slot(session, catalog).worker_id
    with database.transaction() as session:
        assert beat_worker(session, worker_id) < 60.0
    pool.step_clock(database, 300.0)
    with database.transaction() as session:
        assert beat_worker(session, worker_id) >= 300.0
    with database.transaction() as session:
        assert beat_worker(session, worker_id) < 60.0


def test_a_sweeper_that_slept_too_takes_nothing(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = pool.submitted(session, catalog, pool.person(session))
        assert claims.claim(session, pool.slot(session, catalog), 90.0) is not None
        sweeper = Sweeper(pool.slot(session, catalog).worker_id, 90.0)
    pool.step_clock(database, 300.0)
    with database.transaction() as session:
        assert sweep_expired(session, sweeper=sweeper) == []
    with database.transaction() as session:
        beat_worker(session, sweeper.worker_id)
        assert sweep_expired(session, sweeper=sweeper) == [trial_id]
