"""Who has waited for very long has a turn, however much others submit, on both databases."""

from __future__ import annotations

from sqlalchemy import select

from db import commands, workers
from db.engine import Database
from db.models import Lease
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial
from tests.support.turns import RULES, end, take, take_with, used


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
