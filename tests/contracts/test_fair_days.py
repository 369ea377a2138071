"""The short form of `make faults`' fairness: a few simulated hours on both databases."""

from __future__ import annotations

import itertools

import pytest

from db import claims, owner
from db.engine import Database
from db.fairness import Rules, longest_wait_s
from labpool.catalog import Catalog
from tests.faults import fairness
from tests.faults.fairness import HOUR_S
from tests.support.databases import fresh_database
from tests.support.pool import TRAIN, person, slot, step_clock, submitted


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
    pool = fairness.starving(database, catalog, fairness.SHORT_DAY_S)
    assert 0.8 < fairness.worst_wait_over_bound(pool) <= 1
    assert fairness.most_by_age(pool) == 1
    patient = [job for job in pool.jobs.values() if job.user == "patient"]
    assert all(job.starts_s for job in patient)
    assert all(job.by_age for job in patient), "fair share alone would not have taken them"
    assert any(job.given_back_s for job in pool.jobs.values())


def test_where_age_counts_half_as_often_the_bound_does_not_hold(catalog: Catalog) -> None:
    with fresh_database("sqlite") as database:
        pool = fairness.starving(database, catalog, fairness.SHORT_DAY_S, fairness.HALF_AS_OFTEN)
        assert fairness.most_by_age(pool) == 1
    assert fairness.worst_wait_over_bound(pool) > 1


def test_what_is_given_back_keeps_its_age_and_counts_in_the_bound(
    database: Database, catalog: Catalog
) -> None:
    """Six older trials run when another one's age comes to A; then their workers are shut down."""
    rules, longest_s = Rules(ageing_s=1000.0, ageing_turn=2), 100.0
    with database.transaction() as session:
        here = slot(session, catalog)
        for _ in range(6):
            submitted(session, catalog, person(session), {**TRAIN, "device": "any"})
        held = [claims.claim(session, slot(session, catalog, device="gpu"), 1e9, rules=rules)
                for _ in range(6)]  # fmt: skip
        low = {**TRAIN, "device": "cpu", "priority": "low"}
        [mine] = submitted(session, catalog, person(session, "patient"), low)
    waited_s = rules.ageing_s + 1.0
    step_clock(database, waited_s)
    with database.transaction() as session:
        for found in held:
            assert found is not None
            owner.release(session, found.trials[0].trial_id, found.trials[0].fence, "shut down")
        for _ in range(20):
            submitted(session, catalog, person(session, "busy"), {**TRAIN, "device": "cpu"})
    while True:
        with database.transaction() as session:
            found = claims.claim(session, here, 1e9, rules=rules)
        assert found is not None
        [given] = found.trials
        if given.trial_id == mine:
            break
        step_clock(database, longest_s)
        waited_s += longest_s
        with database.transaction() as session:
            owner.succeed(session, given.trial_id, given.fence, {}, {})
    assert waited_s > longest_wait_s(rules, longest_s, older=0, slots=1), "none of them waited"
    assert waited_s <= longest_wait_s(rules, longest_s, older=6, slots=1), "none had ended"


def test_jains_index_tells_fair_from_unfair() -> None:
    assert fairness.jain([5.0, 5.0, 5.0]) == 1.0
    assert fairness.jain([9.0, 0.0, 0.0]) == 1 / 3
