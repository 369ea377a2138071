"""Submissions: all or nothing, and once for one key."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from db import submissions
from db.engine import Database
from db.errors import IdempotencyConflict, QueueFull
from db.models import Experiment, Trial
from labpool.catalog import Catalog
from labpool.planning import plan
from tests.support.pool import TRAIN, person

SWEEP = {
    "kind": "sweep",
    "name": "rates",
    "base": TRAIN,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [1e-2, 1e-3], "batch_size": [32, 64]},
}


def test_it_works(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        made = submissions.submit(session, person(session), plan(SWEEP, catalog))
    with database.snapshot() as session:
        assert session.get_one(Experiment, made.experiment_id).name == "rates"
        rows = session.scalars(select(Trial).order_by(Trial.number)).all()
        assert [row.varied for row in rows] == [
            {"learning_rate": rate, "batch_size": size}
            for rate in (1e-2, 1e-3)
            for size in (32, 64)
        ]
        assert rows[3].spec["learning_rate"] == 1e-3
        assert rows[3].spec["optimizer"] == "adam"
        assert len({row.configuration_digest for row in rows}) == 4


def test_two_seeds_are_one_configuration(database: Database, catalog: Catalog) -> None:
    sweep = {**SWEEP, "space": {"seed": [1, 2]}}
    with database.transaction() as session:
        submissions.submit(session, person(session), plan(sweep, catalog))
        assert len(set(session.scalars(select(Trial.configuration_digest)))) == 1


def test_one_key_one_experiment(database: Database, catalog: Catalog) -> None:
    planned = plan(SWEEP, catalog)
    with database.transaction() as session:
        first = submissions.submit(session, person(session), planned, "key", "digest")
    with database.transaction() as session:
        again = submissions.submit(session, person(session), planned, "key", "digest")
    assert (again.experiment_id, again.trial_ids) == (first.experiment_id, first.trial_ids)
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(IdempotencyConflict), database.transaction() as session:
        submissions.submit(session, person(session), planned, "key", "another")
    with database.transaction() as session:
        other = submissions.submit(session, person(session, "bob"), planned, "key", "another")
    assert other.experiment_id != first.experiment_id, "a key is its user's own"


def test_one_key_from_many_at_once(database: Database, catalog: Catalog) -> None:
    planned = plan(TRAIN, catalog)
    with database.transaction() as session:
        person(session)
    made: list[submissions.Submitted] = []
    barrier = threading.Barrier(8)

    def submit() -> None:
        barrier.wait()
        made.append(
            database.run(
                lambda session: submissions.submit(session, person(session), planned, "k", "d")
            )
        )

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({item.experiment_id for item in made}) == 1
    assert sorted(item.replayed for item in made) == [False] + [True] * 7
    with database.snapshot() as session:
        assert session.scalar(select(func.count()).select_from(Trial)) == 1


def test_a_full_queue_takes_nothing(database: Database, catalog: Catalog) -> None:
    with pytest.raises(QueueFull), database.transaction() as session:
        submissions.submit(session, person(session), plan(SWEEP, catalog), max_queued=3)
    with database.snapshot() as session:
        assert session.scalar(select(func.count()).select_from(Experiment)) == 0
