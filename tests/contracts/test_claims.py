"""Who gets which trial, on both databases."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Select, insert, select, text

from db import claims, owner, turns
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
        here = slot(session, catalog)
        assert claims.has_work(session, here)
        found = claims.claim(session, here, TTL_S)
        assert found is not None
        assert [work.trial_id for work in found.trials] == [trial_id]
        assert not claims.has_work(session, here)


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


def test_what_waits_for_others_is_no_work(
    database: Database, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot must not take the lock of all claims for a long queue that it cannot run."""
    monkeypatch.setattr(claims, "SHORT", 0)
    with database.transaction() as session:
        ada = person(session)
        submitted(session, catalog, ada, {**TRAIN, "device": "gpu"})
        cpu, gpu = slot(session, catalog), slot(session, catalog, device="gpu")
        assert not claims.has_work(session, cpu)
        assert not claims.has_work(session, slot(session, catalog, device="gpu", kinds=()))
        assert claims.has_work(session, gpu)
        ada.max_running = 0
        session.flush()
        assert not claims.has_work(session, gpu), "its owner holds all they may"


def test_the_oldest_of_both_devices_is_first(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada = person(session)
        wanted = [
            submitted(session, catalog, ada, {**TRAIN, "device": device})[0]
            for device in ("cpu", "any", "gpu", "cpu", "any")
        ]
        got = []
        for _ in range(4):
            found = claims.claim(session, slot(session, catalog), TTL_S)
            assert found is not None
            got.append(found.trials[0].trial_id)
        assert got == [wanted[0], wanted[1], wanted[3], wanted[4]]
        assert claims.claim(session, slot(session, catalog), TTL_S) is None


def test_a_users_first_is_found_by_its_index(
    database: Database, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many wait for another device, nobody walks past them."""
    with database.transaction() as session:
        ada, here = person(session), slot(session, catalog)
        [trial_id] = submitted(session, catalog, ada, {**TRAIN, "device": "gpu"})
        row = session.get_one(Trial, trial_id)
        columns = {
            column.key: getattr(row, column.key)
            for column in Trial.__table__.columns
            if column.key != "id"
        }
        columns["point"] = None
        session.execute(insert(Trial), [{**columns, "number": 2 + n} for n in range(2000)])
    if database.dialect == "postgresql":
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").begin() as connection:
            connection.execute(text("ANALYZE trials"))
    asked: list[Select[Any]] = []
    with database.snapshot() as session:
        execute = session.execute
        monkeypatch.setattr(
            session, "execute", lambda query, *rest: asked.append(query) or execute(query, *rest)
        )
        assert turns._heads(session, here, 0) == {}
        [query] = asked
        compiled = query.compile(database.engine, compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
        plan = "\n".join(str(row) for row in execute(text(f"{explain} {compiled}")))
    if database.dialect == "sqlite":
        assert plan.count("ix_trials_waiting (owner_id=? AND priority=? AND device=?)") == 2, plan
    else:
        assert plan.count("Index Scan using ix_trials_waiting") == 2, plan
        conditions = [line for line in plan.splitlines() if "Index Cond" in line]
        assert ["(device)::text = 'any'" in line for line in conditions] == [True, False], plan
        assert ["(device)::text = 'cpu'" in line for line in conditions] == [False, True], plan
