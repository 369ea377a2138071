"""The short form of `make faults`' fairness: a few simulated hours on both databases."""

from __future__ import annotations

import itertools

import pytest

from db import claims
from db.engine import Database
from labpool.catalog import Catalog
from tests.faults import fairness
from tests.faults.fairness import HOUR_S


def test_it_works(database: Database, catalog: Catalog) -> None:
    """Eight users who always want more, with runs of five minutes to an hour."""
    used = fairness.saturated_day(database, catalog, 3 * HOUR_S)
    assert len(used) == 8
    assert fairness.jain(used) >= 0.99


def test_slots_that_come_free_at_once_differ_by_one_at_most(
    database: Database, catalog: Catalog
) -> None:
    assert fairness.simultaneous_frees(database, catalog, 2) == 1


class Unshared:
    """Another lock for everybody who takes it."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __str__(self) -> str:
        return str(next(self._numbers))


def test_without_the_lock_they_get_in_each_others_way(
    postgres_url: str, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_CLAIM_LOCK", Unshared())
    database = Database(postgres_url)
    with pytest.raises(AssertionError, match="each got one of its own"):
        fairness.simultaneous_frees(database, catalog, 2)
    database.dispose()


def test_nobody_waits_past_the_stated_bound(database: Database, catalog: Catalog) -> None:
    pool = fairness.starving(database, catalog, 8 * HOUR_S)
    assert fairness.worst_wait_over_bound(pool) <= 1
    assert fairness.most_by_age(pool) == 1
    patient = [job for job in pool.jobs.values() if job.user == "patient"]
    assert [job for job in patient if job.started_s is None] == []
    assert all(job.by_age for job in patient), "fair share alone would not have taken them"


def test_jains_index_tells_fair_from_unfair() -> None:
    assert fairness.jain([5.0, 5.0, 5.0]) == 1.0
    assert fairness.jain([9.0, 0.0, 0.0]) == 1 / 3
