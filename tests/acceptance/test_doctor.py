"""`labpool doctor`: each thing that can be amiss is named with the command that mends it."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from db import quarantine
from db import workers as db_workers
from db.engine import Database
from db.models import Slot, Worker
from db.states import SlotState
from deploy.child import child_environment
from deploy.data_folder import read_json
from deploy.diagnosis import devices, machine, workers
from deploy.diagnosis.ports import holder_of_port
from labpool.catalog import Catalog
from labpool.diagnosis import Finding, check_python, print_report
from labpool.settings import CHECKOUT, Settings
from tests.support.pool import person, slot, step_clock, submitted
from tests.support.processes import Processes, free_port, kept_environment
from tests.support.up import Up, running_up

# What a Python that is too old for labpool has to be able to read.
FOR_OLD_PYTHONS = (
    "deploy/__init__.py",
    "deploy/doctor.py",
    "deploy/diagnosis/__init__.py",
    "deploy/diagnosis/machine.py",
    "labpool/__init__.py",
    "labpool/diagnosis.py",
)
SPEC = {"kind": "benchmark", "kernel": "dense_relu"}


def doctor(
    *options: str, python: tuple[str, ...] = (), **settings: str
) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit status, and the findings by the name of what was looked at."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "deploy.doctor", "--json", *options],
        env=child_environment({**kept_environment(), **settings}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    content = json.loads(done.stdout)
    assert content["ok"] == (done.returncode == 0)
    found: dict[str, list[dict[str, str]]] = {}
    for check in content["checks"]:
        assert set(check) == {"name", "state", "says", "mend"}
        assert check["mend"] or check["state"] != "problem", check
        found.setdefault(check["name"], []).append(check)
    return done.returncode, found


def states(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {name: checks[-1]["state"] for name, checks in found.items()}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One service for the tests that leave it as it was."""
    with running_up(tmp_path_factory.mktemp("doctor")) as service:
        service.wait_ready()
        yield service


def test_it_works_and_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    _, found = doctor("--data-dir", str(folder), LABPOOL_PORT=str(free_port()))
    assert list(found)[:5] == ["python", "environment", "compiler", "data folder", "catalog"]
    assert states(found)["database"] == "note"
    assert states(found)["service"] == "note"
    assert found["service"][0]["mend"] == "labpool up"
    assert not folder.exists()


def test_a_running_service_is_well(up: Up) -> None:
    _, found = doctor("--data-dir", str(up.data_dir))
    wanted = ("data folder", "database", "broker", "port", "service", "token", "workers")
    assert {name: states(found)[name] for name in wanted} == dict.fromkeys(wanted, "ok")
    assert states(found)["artifact store"] == "ok"
    assert str(up.pid) in found["port"][0]["says"]


def test_a_broker_that_hangs_is_named(up: Up) -> None:
    broker = up.part("valkey-server")
    os.kill(broker, signal.SIGSTOP)
    try:
        status, found = doctor("--data-dir", str(up.data_dir))
    finally:
        os.kill(broker, signal.SIGCONT)
    assert status == 1
    (said,) = found["broker"]
    assert said["state"] == "problem"
    assert "Trials still run" in said["says"]
    assert "broker.log" in said["mend"]


def test_a_wrong_token_is_named(up: Up) -> None:
    url = read_json(up.ready_file)["url"]
    settings = {"LABPOOL_DATA_DIR": str(up.data_dir), "LABPOOL_URL": url}
    status, found = doctor(**settings, LABPOOL_TOKEN="lp_1_wrong")
    assert status == 1
    (said,) = found["token"]
    assert said["state"] == "problem"
    assert "labpool token add" in said["mend"]
    token = read_json(up.data_dir / "client.json")["token"]
    _, found = doctor(**settings, LABPOOL_TOKEN=token)
    assert states(found)["token"] == "ok"


def test_a_service_that_is_away_is_named(tmp_path: Path) -> None:
    settings = {"LABPOOL_URL": f"http://127.0.0.1:{free_port()}", "LABPOOL_TOKEN": "lp_1_x"}
    status, found = doctor("--data-dir", str(tmp_path), **settings)
    assert status == 1
    assert states(found)["service"] == "problem"


def test_a_taken_port_is_named_with_its_holder(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        holder = holder_of_port(port)
        status, found = doctor("--data-dir", str(tmp_path / "data"), LABPOOL_PORT=str(port))
    assert status == 1
    (said,) = found["port"]
    assert said["state"] == "problem"
    assert f"--port {port + 1}" in said["mend"]
    if sys.platform == "linux":
        assert holder is not None
        assert holder.pid == os.getpid()
        assert f"process {os.getpid()}" in said["says"]


def test_an_old_python_is_told_what_it_is() -> None:
    said = check_python((3, 9, 2))
    assert said.state == "problem"
    assert "3.9.2" in said.says
    assert "make setup PYTHON=" in said.mend
    assert check_python((3, 14, 0)).state == "problem"
    assert check_python((3, 12, 1)).state == "ok"


@pytest.mark.parametrize("name", FOR_OLD_PYTHONS)
def test_an_old_python_can_read_its_part(name: str) -> None:
    tree = ast.parse((CHECKOUT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
    future = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not future or future[0].module == "__future__"


def test_without_anything_installed_it_says_so(tmp_path: Path) -> None:
    # -S leaves out what pip installed.
    status, found = doctor("--data-dir", str(tmp_path / "data"), python=("-S",))
    assert status == 1
    assert list(found) == ["python", "environment", "compiler", "data folder"]
    (said,) = found["environment"]
    assert "sqlalchemy" in said["says"]
    assert "make setup" in said["mend"] or said["mend"].endswith(".venv/bin/labpool doctor")


def test_an_interrupted_set_up_is_named(tmp_path: Path) -> None:
    (tmp_path / ".venv.unfinished").touch()
    said = machine.check_environment(tmp_path)
    assert (said.state, said.mend) == ("problem", "make setup")
    assert machine.check_environment(tmp_path / "else").state == "ok"


def test_no_compiler_is_said_and_harmless(tmp_path: Path) -> None:
    said = machine.check_compiler(str(tmp_path))
    assert said.state == "note"
    assert "pycuda" in said.says
    assert "apt install g++" in said.mend
    (tmp_path / "c++").touch(mode=0o755)
    assert machine.check_compiler(str(tmp_path)).state == "ok"


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = machine.check_data_folder(tmp_path / "file" / "data")
    assert said.state == "problem"
    assert "--data-dir" in said.mend


def test_an_open_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    said = machine.check_data_folder(folder)
    assert (said.state, said.mend) == ("problem", f"chmod 700 {folder}")
    folder.chmod(0o700)
    assert machine.check_data_folder(folder).state != "problem"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = SimpleNamespace(free=10**8)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: left)
    said = machine.check_data_folder(tmp_path / "data")
    assert said.state == "problem"
    assert "0.1 GB" in said.says
    assert "df -h" in said.mend


def test_a_setting_that_cannot_be_read_is_named() -> None:
    status, found = doctor(LABPOOL_BEAT_S="soon")
    assert status == 1
    assert "LABPOOL_BEAT_S" in found["settings"][0]["says"]


def test_a_broken_catalog_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "catalog" / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "model.toml").write_text("title = \n")
    settings = {"LABPOOL_CATALOG_PATH": str(tmp_path / "catalog")}
    status, found = doctor("--data-dir", str(tmp_path / "data"), **settings)
    assert status == 1
    assert "model.toml" in found["catalog"][0]["says"]


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
    (said,) = workers.check_queue(database, Settings())
    assert said.state == "problem"
    assert f"Trial {first} and 1 more wait in vain" in said.says
    assert "needs a GPU slot" in said.says
    with database.transaction() as session:
        slot(session, catalog, device="gpu")
    assert [finding.state for finding in workers.check_queue(database, Settings())] == ["ok"]


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
    assert "process 1, was last heard of 200 s ago" in silent.says


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


class NVMLError(Exception):
    """As NVIDIA's library raises it."""


class NVMLError_LibraryNotFound(NVMLError):  # noqa: N801 - its name there
    """As NVIDIA's library raises it."""


class Nvml:
    """NVIDIA's management library with two GPUs, or without a driver."""

    NVMLError = NVMLError

    def __init__(self, failure: Exception | None = None, count: int = 2) -> None:
        self.failure, self.count = failure, count

    def nvmlInit(self) -> None:
        if self.failure is not None:
            raise self.failure

    def nvmlShutdown(self) -> None: ...

    def nvmlSystemGetDriverVersion(self) -> str:
        return "570.1"

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"Card {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=24 * 2**30)


def test_gpus_are_named_or_their_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    none, pycuda = devices.check_gpus(Nvml(NVMLError_LibraryNotFound("no")))
    assert (none.state, none.says.split(".")[0]) == ("note", "none: no NVIDIA driver")
    assert pycuda.state == "note"

    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    monkeypatch.setattr(devices, "_version", lambda name, installed: None)
    cards, tensorflow, pycuda = devices.check_gpus(Nvml())
    assert cards == Finding("gpu", "ok", "Card 0 (24576 MiB), Card 1 (24576 MiB); driver 570.1")
    assert (tensorflow.name, tensorflow.state) == ("tensorflow", "problem")
    assert (pycuda.name, pycuda.state) == ("pycuda", "problem")
    assert "gpu.lock" in pycuda.mend


def test_tensorflow_is_not_loaded_to_be_named() -> None:
    program = (
        "import sys; from deploy.diagnosis.devices import check_gpus, check_tensorflow\n"
        "print(check_tensorflow().says); check_gpus()\n"
        "sys.exit(' '.join({'tensorflow', 'keras', 'pycuda'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("tensorflow 2.")


def test_people_get_a_table_with_the_remedy_below(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding("port", "ok", "free"), Finding("disk", "problem", "full", "df -h\nrm x")]
    print_report(findings, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok       port  free",
        "problem  disk  full",
        "               → df -h",
        "               → rm x",
        "1 problem.",
    ]
