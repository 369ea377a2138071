"""Shares, caps and age at the moment of a claim, on both databases."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db import claims, clock, commands, owner, transitions, workers
from db.engine import Database
from db.fairness import Rules, Standing
from db.models import Attempt, Lease, Trial, Usage
from db.standings import standings
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial

TTL_S = 10 * 24 * 3600.0
RULES = Rules(ageing_s=3600.0, ageing_turn=4)


def take(session: Session, catalog: Catalog, rules: Rules = RULES) -> int | None:
    """The trial that a slot of its own gets."""
    return take_with(session, slot(session, catalog), rules)


def take_with(
    session: Session, here: claims.SlotIdentity, rules: Rules = RULES, most: int = 1
) -> int | None:
    found = claims.claim(session, here, TTL_S, most, rules)
    return found.trials[0].trial_id if found is not None else None


def end(session: Session, trial_id: int, charged: bool = True) -> None:
    fence = trial(session, trial_id).fence
    if charged:
        owner.succeed(session, trial_id, fence, {}, {})
    else:
        owner.release(session, trial_id, fence, "the worker stops")


def used(session: Session, name: str, slot_seconds: float) -> None:
    now = clock.now(session)
    session.add(Usage(user_id=person(session, name).id, slot_seconds=slot_seconds, as_of=now))
    session.flush()


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


def test_the_oldest_gets_one_claim_in_k(database: Database, catalog: Catalog) -> None:
    """A trial of the lowest class and of the user with most use, which fair share would never
    take while others submit."""
    with database.transaction() as session:
        used(session, "heavy", 1e6)
        starved = [submitted(session, catalog, person(session, "heavy"))[0] for _ in range(2)]
        for trial_id in starved:
            trial(session, trial_id).priority = -1
        here, other = slot(session, catalog), slot(session, catalog)
        for _ in range(20):
            submitted(session, catalog, person(session, "light"))
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        # What the light user has waits as long, but came later.
        taken = []
        for at in (here, here, here, here, here, here, here, here, other):
            taken.append(take_with(session, at))
            found = taken[-1]
            assert found is not None
            end(session, found)
        assert [taken[0], taken[4]] == starved
        by_age = session.scalars(select(Lease.by_age).order_by(Lease.id)).all()
        assert by_age == [number in (0, 4) for number in range(9)]


def test_restarts_of_a_worker_make_nobody_wait(database: Database, catalog: Catalog) -> None:
    """Each makes the worker's slots anew, here before they come to their turn by age."""
    with database.transaction() as session:
        [old] = submitted(
            session, catalog, person(session, "patient"), {**TRAIN, "priority": "low"}
        )
        for _ in range(12):
            submitted(session, catalog, person(session, "light"))
        here = slot(session, catalog)
        assert take_with(session, here) != old
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        taken = []
        for _ in range(3):
            workers.stop_worker(session, here.worker_id)
            here = slot(session, catalog)
            for _ in range(RULES.ageing_turn - 1):
                found = take_with(session, here)
                assert found is not None
                end(session, found)
                taken.append(found)
        assert old in taken[: RULES.ageing_turn]


def test_other_slots_use_up_no_turn_by_age(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        used(session, "heavy", 1e6)
        heavy, light = person(session, "heavy"), person(session, "light")
        here, gpu = slot(session, catalog), slot(session, catalog, device="gpu")
        [old] = submitted(session, catalog, heavy, {**TRAIN, "device": "cpu"})
        [old_on_gpu] = submitted(session, catalog, heavy, {**TRAIN, "device": "gpu"})
        for at in (here, gpu) * 3:
            submitted(session, catalog, light, {**TRAIN, "device": at.device})
            found = take_with(session, at)
            assert found is not None
            end(session, found)
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        for device in ("cpu", "gpu"):
            submitted(session, catalog, light, {**TRAIN, "device": device})
        assert take_with(session, here) == old
        end(session, old)
        assert take_with(session, gpu) == old_on_gpu


def test_age_begins_anew_when_its_owner_lets_it_go(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        used(session, "ada", 1e6)
        [held] = submitted(session, catalog, person(session))
        commands.pause_trial(session, trial(session, held), person(session))
        for _ in range(3):
            submitted(session, catalog, person(session, "bob"))
            found = take_with(session, here)
            assert found is not None
            end(session, found)
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        commands.resume_trial(session, trial(session, held), person(session))
        [fresh] = submitted(session, catalog, person(session, "bob"))
        assert take_with(session, here) == fresh
        end(session, fresh)
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        submitted(session, catalog, person(session, "bob"))
        assert take_with(session, here) == held


def test_age_breaks_no_cap_and_takes_nothing_that_the_slot_cannot_run(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        ada.max_running = 1
        here = slot(session, catalog)
        [on_gpu] = submitted(session, catalog, bob, {**TRAIN, "device": "gpu"})
        runs, capped = (submitted(session, catalog, ada)[0] for _ in range(2))
        assert take(session, catalog) == runs
        for _ in range(3):
            submitted(session, catalog, bob)
            found = take_with(session, here)
            assert found is not None
            end(session, found)
    step_clock(database, RULES.ageing_s + 60)
    with database.transaction() as session:
        [fresh] = submitted(session, catalog, bob)
        assert take_with(session, here) == fresh
        end(session, fresh)
        end(session, runs)
        assert take_with(session, here) == capped
        assert trial(session, on_gpu).state == "queued"


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
