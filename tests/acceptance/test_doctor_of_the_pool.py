"""`labpool doctor` on databases, workers and the artifact store, each with its remedy."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from db import quarantine
from db import workers as db_workers
from db.engine import Database
from db.models import Slot, Worker
from db.states import SlotState
from deploy.diagnosis import workers
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support.doctor import doctor, states
from tests.support.pool import person, slot, step_clock, submitted
from tests.support.processes import Processes, free_port

SPEC = {"kind": "benchmark", "kernel": "dense_relu"}


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path) -> Path:
    """A data folder with a database in it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "labpool.db").write_bytes(sqlite_template.read_bytes())
    return folder


def database_check(folder: Path, **settings: str) -> dict[str, str]:
    _, found = doctor("--data-dir", str(folder), **settings)
    return found["database"][0]


@pytest.mark.parametrize(
    ("revision", "said", "mend"),
    [("from_the_future", "newer", "git pull"), ("0001", "older", "labpool up")],
)
def test_a_database_of_another_version_is_named(
    data_dir: Path, revision: str, said: str, mend: str
) -> None:
    connection = sqlite3.connect(data_dir / "labpool.db")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    found = database_check(data_dir)
    assert found["state"] == "problem"
    assert said in found["says"]
    assert mend in found["mend"]


def test_a_locked_database_is_named(data_dir: Path) -> None:
    connection = sqlite3.connect(data_dir / "labpool.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    found = database_check(data_dir)
    connection.close()
    assert found["state"] == "problem"
    assert "locked" in found["says"]
    assert database_check(data_dir)["state"] == "ok"


def test_a_file_that_is_no_database_is_named(data_dir: Path) -> None:
    (data_dir / "labpool.db").write_bytes(b"years of work" * 100)
    found = database_check(data_dir)
    assert found["state"] == "problem"
    assert "not a database" in found["says"]


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://someone:hunter2@127.0.0.1:{free_port()}/none"
    found = database_check(tmp_path, LABPOOL_DATABASE_URL=url)
    assert found["state"] == "problem"
    assert "LABPOOL_DATABASE_URL" in found["mend"]
    assert "hunter2" not in json.dumps(found)


def test_postgres_and_a_broker_of_ones_own(tmp_path: Path, postgres_url: str) -> None:
    with Processes(tmp_path / "processes") as processes:
        broker = processes.broker()
        settings = {"LABPOOL_DATABASE_URL": postgres_url, "LABPOOL_BROKER_URL": broker.url}
        _, found = doctor("--data-dir", str(tmp_path), **settings)
        assert (states(found)["database"], states(found)["broker"]) == ("ok", "ok")
    port = free_port()
    settings["LABPOOL_BROKER_URL"] = f"redis://:hunter2@127.0.0.1:{port}/0"
    status, found = doctor("--data-dir", str(tmp_path), **settings)
    assert status == 1
    assert str(port) in found["broker"][0]["says"]
    assert "LABPOOL_BROKER_URL" in found["broker"][0]["mend"]
    assert "hunter2" not in json.dumps(found)


def test_a_trial_that_waits_for_a_gpu_is_named_once_a_kind(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        ada = person(session)
        slot(session, catalog)
        (first,) = submitted(session, catalog, ada, {**SPEC, "device": "gpu"})
        submitted(session, catalog, ada, {**SPEC, "device": "gpu", "seed": 1})
        submitted(session, catalog, ada, {**SPEC, "device": "cpu"})
    (said,) = workers.check_queue(database)
    assert said.state == "problem"
    assert f"Trial {first} and 1 more wait in vain" in said.says
    assert "needs a GPU slot" in said.says
    with database.transaction() as session:
        slot(session, catalog, device="gpu")
    assert [finding.state for finding in workers.check_queue(database)] == ["ok"]


def test_workers_are_counted_and_missed(database: Database, catalog: Catalog) -> None:
    assert [said.state for said in workers.check_workers(database, is_up=False)] == ["note"]
    assert [said.state for said in workers.check_workers(database, is_up=True)] == ["problem"]
    with database.transaction() as session:
        slot(session, catalog)
    assert [said.state for said in workers.check_workers(database, is_up=True)] == ["ok"]
    step_clock(database, 200)
    with database.transaction() as session:
        slot(session, catalog)
    alive, silent = workers.check_workers(database, is_up=True)
    assert (alive.state, silent.state) == ("ok", "note")
    assert "process 1, was last heard of 3 min 20 s ago" in silent.says


def test_a_quarantined_slot_is_named(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        identity = slot(session, catalog)
        row = session.get_one(Slot, identity.slot_id)
        row.state, row.reason = SlotState.QUARANTINED, "three runners died"
    said = workers.check_workers(database, is_up=True)[-1]
    assert said.state == "problem"
    assert "three runners died" in said.says


def test_a_gpu_in_quarantine_is_named_with_the_command_that_ends_it(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        identity = slot(session, catalog, device="gpu")
        session.get_one(Slot, identity.slot_id).gpu_uuid = "GPU-7"
        session.flush()
        quarantine.quarantine(session, identity.slot_id, "here", "It burns.")
        other = slot(session, catalog)
        db_workers.note_slot(session, other.slot_id, "used by hand: pid 7 (python)")
        db_workers.drain_worker(session, other.worker_id, True)
    *_, drained, noted, closed = workers.check_workers(database, is_up=True)
    assert (closed.state, noted.state, drained.state) == ("problem", "note", "note")
    assert closed.says == "gpu of here is out of service: It burns."
    assert "labpool pool clear GPU-7" in closed.mend
    assert "used by hand: pid 7 (python)" in noted.says
    assert drained.mend == f"labpool pool drain --undo {other.worker_id}"
    step_clock(database, 200)
    closed = workers.check_workers(database, is_up=False)[-1]
    assert closed.state == "problem", "also while its worker is away"


def test_another_pools_artifacts_are_named(database: Database, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert workers.check_store(database, settings).state == "note"
    with database.transaction() as session:
        db_workers.bind_store(session, "theirs")
    assert workers.check_store(database, settings).state == "problem"
    folder = settings.artifacts_dir
    folder.mkdir()
    (folder / "store-id").write_text("ours")
    said = workers.check_store(database, settings)
    assert said.state == "problem"
    assert "ours" in said.says
    assert "theirs" in said.says
    assert "LABPOOL_STORE_DIR" in said.mend
    (folder / "store-id").write_text("theirs\n")
    assert workers.check_store(database, settings).state == "ok"
    with database.snapshot() as session:
        assert session.query(Worker).count() == 0


def test_the_remedy_fits_what_is_lacking(database: Database, catalog: Catalog) -> None:
    def mend() -> str:
        (said,) = workers.check_queue(database)
        assert (said.name, said.state) == ("queue", "problem")
        return said.mend

    with database.transaction() as session:
        submitted(session, catalog, person(session), SPEC)
    assert mend().startswith("labpool worker "), "no worker"
    with database.transaction() as session:
        lone = slot(session, catalog)
        db_workers.drain_worker(session, lone.worker_id, True)
    assert mend().startswith("labpool pool drain --undo ")
    with database.transaction() as session:
        db_workers.drain_worker(session, lone.worker_id, False)
        db_workers.note_slot(session, lone.slot_id, "too little disk")
    assert mend().startswith("labpool pool ") and "cancel" not in mend()
    with database.transaction() as session:
        session.get_one(Slot, lone.slot_id).state = SlotState.QUARANTINED
    assert "labpool pool clear" in mend() and "cancel" not in mend()
    with database.transaction() as session:
        old = slot(session, catalog, code_digests=[])
        assert old.slot_id
    assert "cancel" in mend()


def test_a_pool_whose_workers_all_fell_silent_names_them(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        slot(session, catalog)
    step_clock(database, 200)
    none_alive, silent = workers.check_workers(database, is_up=True)
    assert none_alive.state == "problem"
    assert "here, process 1, was last heard of 3 min 20 s ago" in silent.says
