"""Why a trial waits: who is ahead, whose turn it is and when, with the arithmetic."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import claims, owner, quarantine, waiting
from db.claims import SlotIdentity
from db.clock import db_now
from db.engine import Database
from db.fairness import Rules
from db.models import Attempt, Slot, Trial, Worker
from db.queue_order import read_line
from db.reads.pool import queue_page
from db.usage import charge
from db.why import Why
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial

TTL_S = 1e6


def take(session: Session, here: SlotIdentity) -> int:
    found = claims.claim(session, here, TTL_S)
    assert found is not None
    return found.trials[0].trial_id


def end(session: Session, trial_id: int) -> None:
    owner.succeed(session, trial_id, trial(session, trial_id).fence, {}, {})


def ended(database: Database, catalog: Catalog, seconds: list[float]) -> SlotIdentity:
    """Trials of `mlp` that held a slot for so long; the slot."""
    with database.transaction() as session:
        here = slot(session, catalog)
        for held_s in seconds:
            submitted(session, catalog, person(session, "past"))
            done = take(session, here)
            end(session, done)
            attempt = session.scalars(select(Attempt).where(Attempt.trial_id == done)).one()
            attempt.slot_seconds = held_s
    return here


def explain(database: Database, trial_id: int, rules: Rules = waiting._RULES) -> Why:
    with database.snapshot() as session:
        return waiting.explain(session, trial(session, trial_id), rules)


def step(database: Database, seconds: float) -> None:
    """Time goes by, and the workers live on."""
    step_clock(database, seconds)
    with database.transaction() as session:
        session.execute(update(Worker).values(seen_at=db_now()))


def test_it_works(database: Database, catalog: Catalog) -> None:
    """Who is ahead, whose they are, and the arithmetic of when."""
    here = ended(database, catalog, [90.0, 95.0, 500.0])
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        other = slot(session, catalog)
        for _ in range(2):
            submitted(session, catalog, ada)
            submitted(session, catalog, bob)
        runs = [take(session, at) for at in (here, other)]
        for trial_id in runs:
            row = trial(session, trial_id)
            row.progress_done, row.progress_total, row.progress_unit = 2.0, 2.0, "epoch"
        [last] = submitted(session, catalog, ada)
        [on_gpu] = submitted(session, catalog, bob, {**TRAIN, "device": "gpu"})
    found = explain(database, last)
    assert (found.reason, found.ahead, found.place) == ("turn", 2, 3)
    assert dict(found.by_owner) == {ada.id: 1, bob.id: 1}
    assert (found.able_slots, found.free_slots) == (2, 0)
    assert found.standing.running == 1
    assert found.next_owner_id in (ada.id, bob.id)
    assert found.estimate.seconds == pytest.approx(95.0)
    assert found.estimate.arithmetic == (
        "2 ahead × 95 s (median of the last 3 trials of mlp) + 0.0 s left of what runs, "
        "over 2 slots that can serve it ≈ 95 s."
    )
    assert found.sentence == "2 are ahead of it; it starts in about 1 min 35 s."
    assert explain(database, on_gpu).reason == "lacking"


def test_what_runs_is_reckoned_by_its_progress_or_by_the_median(
    database: Database, catalog: Catalog
) -> None:
    here = ended(database, catalog, [10_000.0])
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        runs = take(session, here)
        [waits] = submitted(session, catalog, person(session))
    step(database, 1000.0)
    # The clock goes on by itself as well, on a slow machine by some seconds.
    assert explain(database, waits).estimate.seconds == pytest.approx(9000.0, abs=120.0)
    with database.transaction() as session:
        row = trial(session, runs)
        row.progress_done, row.progress_total = 5.0, 20.0
    found = explain(database, waits)
    assert found.estimate.seconds == pytest.approx(3000.0, abs=400.0)
    assert found.estimate.arithmetic.startswith("The first of 1 slot that can serve it is free in")
    assert found.sentence.startswith("It is next; it starts in about 50 min")
    with database.transaction() as session:
        session.scalars(select(Attempt).where(Attempt.trial_id == runs)).one().resumed_epoch = 4
    # It resumed after the fourth epoch: one in 1000 s, and fifteen to go.
    assert explain(database, waits).estimate.seconds == pytest.approx(15_000.0, abs=2000.0)


def test_no_estimate_where_nothing_like_it_has_ended(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        submitted(session, catalog, person(session))
        take(session, here)
        [first] = submitted(session, catalog, person(session))
        [second] = submitted(session, catalog, person(session))
    found = explain(database, first)
    assert found.estimate.seconds is None
    assert "nothing tells yet how long what runs" in found.estimate.arithmetic
    assert found.sentence == "It is next; it starts when a slot is free."
    found = explain(database, second)
    assert "no trial of mlp has ended well" in found.estimate.arithmetic
    assert found.sentence == "1 is ahead of it; it starts when a slot is free."


def test_only_what_competes_for_its_slots_is_ahead(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        slot(session, catalog, device="gpu")
        slot(session, catalog, device="cpu")
        for device in ("cpu", "cpu", "any"):
            submitted(session, catalog, person(session), {**TRAIN, "device": device})
        [on_gpu] = submitted(session, catalog, person(session), {**TRAIN, "device": "gpu"})
    found = explain(database, on_gpu)
    assert (found.ahead, found.place, found.free_slots) == (1, 4, 1)


def test_what_no_slot_can_serve_is_ahead_of_nobody(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        ada.max_running = 2
        here = slot(session, catalog)
        for _ in range(6):
            submitted(session, catalog, ada, {**TRAIN, "device": "gpu"})
        firsts = [submitted(session, catalog, bob)[0] for _ in range(5)]
        [mine] = submitted(session, catalog, ada)
    found = explain(database, mine)
    assert (found.reason, found.place, found.ahead) == ("turn", 2, 1)
    assert found.next_owner_id == bob.id
    with database.transaction() as session:
        assert take(session, here) == firsts[0]
        end(session, firsts[0])
        assert take(session, here) == mine


def test_who_is_next_is_told_of_its_own_slots(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        gpu, here = slot(session, catalog, device="gpu"), slot(session, catalog)
        heads = [submitted(session, catalog, ada, {**TRAIN, "device": "gpu"})[0] for _ in range(3)]
        for trial_id in heads:
            trial(session, trial_id).priority = 1
        [bobs] = submitted(session, catalog, bob)
        [mine] = submitted(session, catalog, ada, {**TRAIN, "device": "cpu"})
    found = explain(database, mine)
    # Her own on the other device do not cost her a turn here.
    assert (found.next_owner_id, found.ahead, dict(found.by_owner)) == (bob.id, 1, {bob.id: 1})
    assert explain(database, heads[0]).next_owner_id == ada.id
    with database.transaction() as session:
        assert take(session, here) == bobs
        assert take(session, gpu) == heads[0]


def test_a_cap_that_is_not_reached_hides_nobody(database: Database, catalog: Catalog) -> None:
    here = ended(database, catalog, [600.0])
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        ada.max_running = 2
        for _ in range(20):
            submitted(session, catalog, bob)
        mine = [submitted(session, catalog, ada)[0] for _ in range(4)]
    found = [explain(database, trial_id) for trial_id in mine]
    assert [why.reason for why in found] == ["turn"] * 4
    assert [why.ahead for why in found] == [1, 3, 5, 7]
    assert [why.estimate.seconds for why in found] == [600.0, 1800.0, 3000.0, 4200.0]
    with database.transaction() as session:
        taken = []
        for _ in range(8):
            taken.append(take(session, here))
            end(session, taken[-1])
            row = trial(session, taken[-1])
            # A little more of hers, so that it is bob's turn between two of them.
            charge(session, row.owner_id, 660.0 if row.owner_id == ada.id else 600.0)
        assert [taken.index(trial_id) for trial_id in mine] == [1, 3, 5, 7]


def test_a_cap_tells_the_time_where_it_is_what_delays(database: Database, catalog: Catalog) -> None:
    rules = Rules(max_running=2)
    ended(database, catalog, [600.0])
    with database.transaction() as session:
        for _ in range(5):
            slot(session, catalog)
        mine = [submitted(session, catalog, person(session))[0] for _ in range(4)]
    found = explain(database, mine[3], rules)
    assert (found.reason, found.ahead, found.place) == ("turn", 3, 4)
    assert found.estimate.seconds == 900.0
    assert "over 2 slots that its owner may hold at once" in found.estimate.arithmetic
    assert explain(database, mine[1], rules).estimate.seconds == 100.0


def test_who_is_full_waits_for_their_own(database: Database, catalog: Catalog) -> None:
    rules = Rules(max_running=1)
    here = ended(database, catalog, [60.0])
    with database.transaction() as session:
        slot(session, catalog)
        submitted(session, catalog, person(session))
        take(session, here)
        [next_one], [last] = (submitted(session, catalog, person(session)) for _ in range(2))
        submitted(session, catalog, person(session, "bob"))
    found = explain(database, last, rules)
    assert (found.reason, found.ahead, found.standing.limit) == ("capped", 1, 1)
    assert found.sentence.startswith("Its owner holds 1 slot and may hold 1 at once; 1 more of")
    assert "over 1 slot that its owner may hold at once" in found.estimate.arithmetic
    assert explain(database, next_one, rules).ahead == 0
    assert found.next_owner_id != found.owner_id
    assert explain(database, next_one).reason == "turn"


def test_slots_that_claim_nothing_are_named(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        [waits] = submitted(session, catalog, person(session))
        session.get_one(Slot, here.slot_id).reason = "used by hand: pid 123 (python), 4.1 GiB"
    assert "set aside. here: used by hand: pid 123" in explain(database, waits).sentence
    with database.transaction() as session:
        session.get_one(Slot, here.slot_id).reason = None
        session.get_one(Worker, here.worker_id).drain_at = 1.0
    assert "being drained" in explain(database, waits).sentence


def test_age_is_told(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        slot(session, catalog)
        [waits] = submitted(session, catalog, person(session))
    step(database, 3600.0)
    found = explain(database, waits, Rules(ageing_s=5000.0))
    assert found.waited_s == pytest.approx(3600.0, abs=120.0)
    assert found.by_age_s == pytest.approx(1400.0, abs=120.0)
    step(database, 3600.0)
    assert explain(database, waits, Rules(ageing_s=5000.0)).by_age_s == 0.0


def test_what_does_not_wait_says_so(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        [runs] = submitted(session, catalog, person(session))
        take(session, here)
    assert explain(database, runs).reason == "running"
    with database.transaction() as session:
        end(session, runs)
    assert explain(database, runs).reason == "ended"


def test_the_queue_of_one_owner_keeps_its_places(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        ids = [submitted(session, catalog, user)[0] for user in (ada, bob, bob, ada)]
        line = read_line(session, Rules())
        assert queue_page(line, None, None, 2) == [(1, ids[0]), (2, ids[1])]
        assert queue_page(line, None, (2, 0), 9) == [(3, ids[2]), (4, ids[3])]
        assert queue_page(line, bob.id, None, 9) == [(2, ids[1]), (3, ids[2])]


def test_who_is_next_is_told_by_whose_slot_frees(database: Database, catalog: Catalog) -> None:
    """The order that is told is the one in which slots that free one by one take them."""
    here = ended(database, catalog, [600.0])
    with database.transaction() as session:
        other = slot(session, catalog)
        ada, bob, carol = (person(session, name) for name in ("ada", "bob", "carol"))
        for user, used_s in ((ada, 5000.0), (bob, 9000.0), (carol, 100.0)):
            charge(session, user.id, used_s)
        running = []
        for user, at, done in ((carol, here, 9.0), (bob, other, 5.0)):
            submitted(session, catalog, user)
            row = trial(session, take(session, at))
            row.progress_done, row.progress_total = done, 10.0
            running.append((at, row.id))
        ids = [submitted(session, catalog, user)[0] for user in (ada, carol, bob, ada, carol, bob)]
    step(database, 600.0)
    found = {trial_id: explain(database, trial_id) for trial_id in ids}
    # The slot that frees first is hers: she holds none then, and has used less than ada.
    assert not found[ids[0]].sentence.startswith("It is next")
    assert found[ids[1]].sentence.startswith("It is next")
    assert found[ids[0]].next_owner_id == carol.id
    with database.snapshot() as session:
        told = [row.waiter.trial_id for row in read_line(session, Rules()).places]
    taken = []
    for _ in ids:
        at, first = running.pop(0)
        with database.transaction() as session:
            end(session, first)
            taken.append(take(session, at))
        running.append((at, taken[-1]))
        step(database, 300.0)
    assert taken[:3] == told[:3]
    assert [found[trial_id].ahead for trial_id in taken[:3]] == [0, 1, 2]


def test_loading_is_no_pace(database: Database, catalog: Catalog) -> None:
    here = ended(database, catalog, [600.0])
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        row = trial(session, take(session, here))
        row.progress_done, row.progress_total, row.progress_unit = 0.01, 60.0, "epoch"
        [waits] = submitted(session, catalog, person(session))
    step(database, 5.0)
    seconds = explain(database, waits).estimate.seconds
    assert seconds is not None
    assert seconds <= 600.0


def test_the_turn_by_age_is_told_where_it_comes_sooner(
    database: Database, catalog: Catalog
) -> None:
    here = ended(database, catalog, [600.0])
    with database.transaction() as session:
        [mine] = submitted(session, catalog, person(session, "patient"))
        trial(session, mine).priority = -1
        for _ in range(40):
            submitted(session, catalog, person(session))
        take(session, here)
    step(database, 3500.0)
    found = explain(database, mine, Rules(ageing_s=3600.0))
    # 100 s until its age, then four runs of ten minutes; 39 ahead would be six and a half hours.
    assert found.estimate.seconds == pytest.approx(2500.0, abs=120.0)
    assert found.estimate.arithmetic.startswith("Sooner by age: 1 min")


def test_a_wait_before_the_next_try_has_its_earliest_start(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        slot(session, catalog)
        [waits] = submitted(session, catalog, person(session))
        submitted(session, catalog, person(session))
        row = trial(session, waits)
        row.reason = "The worker died."
        session.execute(update(Trial).where(Trial.id == waits).values(not_before=db_now() + 500.0))
    found = explain(database, waits)
    assert (found.reason, found.place, found.able_slots) == ("backoff", 2, 1)
    assert found.estimate.seconds == pytest.approx(500.0, abs=60.0)
    assert "1 that could take its slots wait" in found.estimate.arithmetic


def test_a_gpu_out_of_service_is_named(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        slot(session, catalog)
        gpu = slot(session, catalog, device="gpu")
        session.get_one(Slot, gpu.slot_id).gpu_uuid = "GPU-5d1f"
        session.flush()
        quarantine.quarantine(session, gpu.slot_id, "here", "its probe failed")
        [waits] = submitted(session, catalog, person(session), {**TRAIN, "device": "gpu"})
    found = explain(database, waits)
    assert found.reason == "lacking"
    assert "here, gpu: " in found.sentence
    assert "its probe failed" in found.sentence
    assert found.sentence.endswith("`labpool pool clear GPU-5d1f`.")
