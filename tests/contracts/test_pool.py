"""Workers, why a trial waits, boards and migrations, on both databases."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from db import claims, migrate, owner, waiting, workers
from db.boards import board_rows
from db.engine import Database
from db.errors import DatabaseNewer, DatabaseOlder, ForeignStore, SecondHost
from db.models import Base, Slot, Trial
from db.serving import Needs, Serving
from db.states import SlotState
from db.workers import beat_worker
from deploy.diagnosis.workers import ELSE
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial

TTL_S = 90.0


def test_the_migrations_make_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    migrate.upgrade(database)
    migrate.check(database)


def test_a_newer_database_is_left_alone(database: Database) -> None:
    with database.engine.execution_options(write=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (migrate.upgrade, migrate.check):
        with pytest.raises(DatabaseNewer, match="revision 9999"):
            act(database)


def test_an_empty_database_is_older(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('empty')}/labpool.db")
    with pytest.raises(DatabaseOlder, match="at nothing"):
        migrate.check(database)


def test_sqlite_serves_one_host(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        slot(session, catalog, host="one")
        if database.dialect == "sqlite":
            with pytest.raises(SecondHost, match="one"):
                slot(session, catalog, host="two")
        else:
            slot(session, catalog, host="two")
    step_clock(database, 91)
    with database.transaction() as session:
        slot(session, catalog, host="three")


def test_a_host_that_slept_does_not_come_back_to_sqlite_beside_another(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        one = slot(session, catalog, host="one")
        for _ in range(2):
            submitted(session, catalog, person(session))
    step_clock(database, 100)
    with database.transaction() as session:
        two = slot(session, catalog, host="two")
        if database.dialect == "sqlite":
            assert claims.claim(session, one, 90.0) is None, "before its heartbeat"
            with pytest.raises(SecondHost, match="two"):
                beat_worker(session, one.worker_id)
        else:
            assert beat_worker(session, one.worker_id) > 90.0
            assert claims.claim(session, one, 90.0) is not None
        assert beat_worker(session, two.worker_id) < 90.0
        assert claims.claim(session, two, 90.0) is not None


def test_a_host_that_slept_alone_goes_on(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        one, beside = (slot(session, catalog, host="one") for _ in range(2))
        submitted(session, catalog, person(session))
    step_clock(database, 100)
    with database.transaction() as session:
        beat_worker(session, beside.worker_id)
        assert beat_worker(session, one.worker_id) > 90.0
        assert claims.claim(session, one, 90.0) is not None


def test_a_worker_with_another_store_is_refused(database: Database) -> None:
    info = workers.WorkerInfo("a", "h", 1, "0", [], [], "store-one")
    with database.transaction() as session:
        workers.register_worker(session, info, [])
        with pytest.raises(ForeignStore, match="store-two"):
            workers.bind_store(session, "store-two")


def why(database: Database, trial_id: int) -> str:
    with database.snapshot() as session:
        return waiting.why_waiting(session, trial(session, trial_id)) or ""


def test_a_trial_says_why_it_waits(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        user = person(session)
        [first] = submitted(session, catalog, user)
        [second] = submitted(session, catalog, user)
        [on_gpu] = submitted(session, catalog, user, {**TRAIN, "device": "gpu"})
        kernel = {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu"}
        [benchmark] = submitted(session, catalog, user, kernel)
    assert "No worker is connected" in why(database, first)
    with database.transaction() as session:
        here = slot(session, catalog)
    assert "next" in why(database, first)
    assert "1 is ahead of it" in why(database, second)
    assert "needs a GPU slot; the pool has none" in why(database, on_gpu)
    with database.transaction() as session:
        slot(session, catalog, device="gpu", kinds=("train",))
    assert "no pycuda" in why(database, benchmark)
    assert "shares a GPU" not in why(database, benchmark)
    with database.transaction() as session:
        session.get_one(Trial, first).code_digest = "f" * 64
    assert "ffffffffffff" in why(database, first)
    with database.transaction() as session:
        session.get_one(Slot, here.slot_id).state = SlotState.QUARANTINED
        session.get_one(Trial, second).held = True
    assert "held" in why(database, second)


def test_a_benchmark_says_that_shares_of_a_gpu_only_train(
    database: Database, catalog: Catalog
) -> None:
    kernel = {"kind": "benchmark", "kernel": "dense_relu", "device": "gpu"}
    with database.transaction() as session:
        [benchmark] = submitted(session, catalog, person(session), kernel)
        slot(session, catalog, device="gpu", name="H200, share 1 of 2", kinds=("train",))
    assert why(database, benchmark) == (
        "It needs a GPU slot for benchmark trials; "
        "what shares a GPU only trains (LABPOOL_SLOTS_PER_GPU)."
    )
    with database.snapshot() as session:
        lack = Serving(session).lack(Needs.of(trial(session, benchmark)))
    assert lack is not None
    assert lack.kind in ELSE
    with database.transaction() as session:
        slot(session, catalog, device="gpu", name="H200", kinds=("train",))
    assert "have no pycuda, and what shares a GPU only trains" in why(database, benchmark)
    with database.transaction() as session:
        slot(session, catalog, device="gpu", name="H200")
    assert "starts" in why(database, benchmark) or "next" in why(database, benchmark)


def finish(database: Database, catalog: Catalog, metrics: dict[str, float]) -> None:
    with database.transaction() as session:
        work = claims.claim(session, slot(session, catalog), TTL_S)
        assert work is not None
        owner.succeed(session, work.trials[0].trial_id, work.trials[0].fence, metrics, {})


def test_a_board_ranks_what_was_verified(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        for user, epochs in ((ada, 2), (ada, 2), (bob, 2), (ada, 3), (ada, 4), (ada, 5)):
            submitted(session, catalog, user, {**TRAIN, "epochs": epochs})
    for value in (0.8, 0.8, 0.9, 0.7):
        finish(database, catalog, {"test_accuracy": value})
    finish(database, catalog, {"other": 1.0})
    with database.transaction() as session:
        work = claims.claim(session, slot(session, catalog), TTL_S)
        assert work is not None
        owner.fail(session, work.trials[0].trial_id, work.trials[0].fence, "internal", "x")
    with database.snapshot() as session:
        rows = board_rows(session, catalog.boards["digits"])
        assert [(row.rank, row.value) for row in rows] == [(1, 0.9), (2, 0.8), (3, 0.7)]
        assert {row.user for row in rows} == {"ada", "bob"}
        assert len(board_rows(session, catalog.boards["digits"], limit=1)) == 1
        assert len(board_rows(session, catalog.boards["digits"], owner_id=bob.id)) == 1
        every = catalog.boards["digits"].model_copy(update={"rule": "all"})
        assert [row.rank for row in board_rows(session, every)] == [1, 2, 2, 4]
        assert board_rows(session, catalog.boards["spirals"]) == []


def test_a_board_may_set_some_models_side_by_side(database: Database, catalog: Catalog) -> None:
    board = catalog.boards["lenet_sides"]
    assert board.where["model"] == ["lenet_tf", "keras_cnn"]
    with database.transaction() as session:
        ada = person(session)
        for model in ("lenet5", "keras_cnn", "lenet_tf", "softmax"):
            submitted(session, catalog, ada, {**TRAIN, "model": model, "parameters": {}})
    for value in (0.99, 0.97, 0.98, 0.96):
        finish(database, catalog, {"test_accuracy": value})
    with database.snapshot() as session:
        rows = [(row.code_name, row.value) for row in board_rows(session, board)]
        assert rows == [("lenet_tf", 0.98), ("keras_cnn", 0.97)]
        assert len(board_rows(session, catalog.boards["digits"])) == 4
