"""Who gets which trial, on both databases."""

from __future__ import annotations

import threading
from collections import Counter

from sqlalchemy import select

from db import claims, owner
from db.engine import Database
from db.models import Slot, Trial
from db.states import SlotState
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, submitted

TTL_S = 90.0
BENCHMARK = {"kind": "benchmark", "kernel": "dense_relu"}


def test_it_works(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        [trial_id] = submitted(session, catalog, person(session))
        assert claims.has_work(session)
        found = claims.claim(session, slot(session, catalog), TTL_S)
        assert found is not None
        assert [work.trial_id for work in found.trials] == [trial_id]
        assert not claims.has_work(session)


def test_a_slot_holds_one_lease(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user, here = person(session), slot(session, catalog)
        submitted(session, catalog, user)
        submitted(session, catalog, user)
        first = claims.claim(session, here, TTL_S)
        assert first is not None
        assert claims.claim(session, here, TTL_S) is None
        owner.fail(session, first.trials[0].trial_id, first.trials[0].fence, "internal", "x")
        assert claims.claim(session, here, TTL_S) is not None


def test_a_quarantined_slot_gets_nothing(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        submitted(session, catalog, person(session))
        here = slot(session, catalog)
        session.get_one(Slot, here.slot_id).state = SlotState.QUARANTINED
        session.flush()
        assert claims.claim(session, here, TTL_S) is None


def test_only_what_the_slot_can_serve(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        [on_gpu] = submitted(session, catalog, user, {**BENCHMARK, "device": "gpu"})
        [train] = submitted(session, catalog, user, {**TRAIN, "device": "any"})
        cpu = slot(session, catalog)
        stranger = slot(session, catalog, code_digests=["0" * 64])
        plain_gpu = slot(session, catalog, device="gpu", kinds=("train",))
        full_gpu = slot(session, catalog, device="gpu")
        assert claims.claim(session, stranger, TTL_S) is None
        found = claims.claim(session, plain_gpu, TTL_S)
        assert found is not None and found.trials[0].trial_id == train
        assert claims.claim(session, cpu, TTL_S) is None
        found = claims.claim(session, full_gpu, TTL_S)
        assert found is not None and found.trials[0].trial_id == on_gpu


def test_a_user_with_less_at_work_goes_first(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        busy, calm = person(session, "busy"), person(session, "calm")
        for _ in range(3):
            submitted(session, catalog, busy)
        submitted(session, catalog, calm)
        owners = []
        for _ in range(3):
            found = claims.claim(session, slot(session, catalog), TTL_S)
            assert found is not None
            owners.append(session.get_one(Trial, found.trials[0].trial_id).owner_id)
        assert owners == [busy.id, calm.id, busy.id]


def test_simultaneous_claims_share_out_and_never_double(
    database: Database, catalog: Catalog
) -> None:
    users = 8
    with database.transaction() as session:
        slots = [slot(session, catalog) for _ in range(users)]
        for number in range(users):
            for _ in range(users):
                submitted(session, catalog, person(session, f"user{number}"))
    barrier = threading.Barrier(users)
    found: list[claims.Claim | None] = []

    def claim(here: claims.SlotIdentity) -> None:
        barrier.wait()
        found.append(database.run(lambda session: claims.claim(session, here, TTL_S)))

    threads = [threading.Thread(target=claim, args=(here,)) for here in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ids = [claim.trials[0].trial_id for claim in found if claim is not None]
    assert len(ids) == len(set(ids)) == users
    with database.snapshot() as session:
        owners = Counter(session.scalars(select(Trial.owner_id).where(Trial.id.in_(ids))))
    assert set(owners.values()) == {1}, "each of the eight users has one trial at work"
