"""Shares and caps at the moment of a claim, on both databases."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import claims, clock, transitions
from db.engine import Database
from db.fairness import Rules, Standing
from db.models import Attempt, Lease, Trial
from db.standings import standings
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial
from tests.support.turns import RULES, TTL_S, end, take, take_with, used


def standing(session: Session, name: str, rules: Rules = RULES) -> Standing:
    return standings(session, rules, clock.now(session))[person(session, name).id]


def test_it_works(database: Database, catalog: Catalog) -> None:
    """Fewest slots first, then least use, then the oldest trial."""
    with database.transaction() as session:
        heavy, light = person(session, "heavy"), person(session, "light")
        used(session, "heavy", 1000.0)
        of_heavy = [submitted(session, catalog, heavy)[0] for _ in range(2)]
        of_light = [submitted(session, catalog, light)[0] for _ in range(2)]
        taken = [take(session, catalog) for _ in range(4)]
        assert taken == [of_light[0], of_heavy[0], of_light[1], of_heavy[1]]
        assert take(session, catalog) is None


def test_a_share_of_two_gets_twice_as_many_slots(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        double, single = person(session, "double"), person(session, "single")
        double.share = 2.0
        for _ in range(6):
            submitted(session, catalog, double)
            submitted(session, catalog, single)
        for _ in range(6):
            take(session, catalog)
        assert standing(session, "double").running == 4
        assert standing(session, "single").running == 2


def test_what_runs_counts_as_used_and_what_was_wasted_does_not(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        ada = person(session)
        ran, lost, _ = (submitted(session, catalog, ada)[0] for _ in range(3))
        assert [take(session, catalog), take(session, catalog)] == [ran, lost]
    step_clock(database, 100.0)
    with database.transaction() as session:
        assert standing(session, "ada").used_s == pytest.approx(200.0, abs=60.0)
        end(session, lost, charged=False)
        assert standing(session, "ada").used_s == pytest.approx(100.0, abs=40.0)
        end(session, ran)
        assert standing(session, "ada").used_s == pytest.approx(100.0, abs=40.0)
        assert standing(session, "ada").running == 0
    step_clock(database, 7 * 24 * 3600.0)
    with database.snapshot() as session:
        assert standing(session, "ada").used_s == pytest.approx(50.0, abs=20.0)


def test_trials_that_share_a_slot_hold_one(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        sweep = {
            "kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"},
            "space": {"learning_rate": [1e-3, 2e-3, 3e-3]},
        }  # fmt: skip
        group = submitted(session, catalog, ada, sweep)
        for trial_id in group:
            trial(session, trial_id).fuse_key = "f" * 64
        session.flush()
        assert take_with(session, slot(session, catalog), most=3) == group[0]
    step_clock(database, 90.0)
    with database.transaction() as session:
        assert standing(session, "ada").running == 1
        assert standing(session, "ada").used_s == pytest.approx(90.0, abs=40.0)
        end(session, group[0])
        assert standing(session, "ada").running == 1
        assert standing(session, "ada").used_s == pytest.approx(90.0, abs=40.0)
        assert standing(session, bob.name).running == 0


def test_nobody_holds_more_than_their_cap(database: Database, catalog: Catalog) -> None:
    rules = Rules(max_running=2)
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        bob.max_running = 3
        first, *_ = (submitted(session, catalog, ada)[0] for _ in range(4))
        for _ in range(4):
            submitted(session, catalog, bob)
        taken = [take(session, catalog, rules) for _ in range(6)]
        assert taken[5] is None
        assert (standing(session, "ada").running, standing(session, "bob").running) == (2, 3)
        end(session, first)
        again = take(session, catalog, rules)
        assert again is not None
        assert trial(session, again).owner_id == ada.id


def test_a_higher_class_goes_first_unless_its_owner_is_full(
    database: Database, catalog: Catalog
) -> None:
    rules = Rules(max_running=1)
    with database.transaction() as session:
        low, normal, high, high_too = (submitted(session, catalog, person(session, name))[0]
                                       for name in ("a", "b", "c", "c"))  # fmt: skip
        trial(session, low).priority = -1
        trial(session, high).priority = trial(session, high_too).priority = 1
        session.flush()
        taken = [take(session, catalog, rules) for _ in range(4)]
        assert taken == [high, normal, low, None]


def test_what_is_cancelled_under_a_claim_leaves_the_slot_to_the_next(
    database: Database, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = transitions.start

    def cancelled_first(session: Session, chosen: Trial, lease: Lease) -> Attempt | None:
        if chosen.id == first:
            transitions.cancel_waiting(session, chosen, actor="user ada")
        return start(session, chosen, lease)

    with database.transaction() as session:
        first, second = (submitted(session, catalog, person(session))[0] for _ in range(2))
        monkeypatch.setattr(transitions, "start", cancelled_first)
        assert take(session, catalog) == second
        assert session.scalars(select(Lease.ended_at)).all() == [None]


def test_simultaneous_frees_differ_by_at_most_one(database: Database, catalog: Catalog) -> None:
    """Eight users, each with another past, and twenty slots that come free at once."""
    users, free = 8, 20
    with database.transaction() as session:
        slots = [slot(session, catalog) for _ in range(free)]
        for number in range(users):
            used(session, f"user{number}", number * 1000.0)
            for _ in range(free):
                submitted(session, catalog, person(session, f"user{number}"))
    barrier = threading.Barrier(free)

    def claim(here: claims.SlotIdentity) -> None:
        barrier.wait()
        database.run(lambda session: claims.claim(session, here, TTL_S, 1, RULES))

    threads = [threading.Thread(target=claim, args=(here,)) for here in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with database.snapshot() as session:
        running = Counter(session.scalars(select(Trial.owner_id).where(Trial.state == "running")))
        more = {name for name in range(users) if standing(session, f"user{name}").running == 3}
    assert sum(running.values()) == free
    assert max(running.values()) - min(running.values()) <= 1
    assert more == set(range(4)), "the odd slots went to those who used least"
