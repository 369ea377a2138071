"""`labpool doctor`: each thing that can be amiss is named with the command that mends it."""

from __future__ import annotations

import ast
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.data_folder import read_json
from deploy.diagnosis import machine
from deploy.diagnosis.ports import holder_of_port
from deploy.diagnosis.settings import check_names
from labpool.diagnosis import Finding, check_python, print_report
from labpool.settings import CHECKOUT, WrongSettings, load_settings
from tests.support.doctor import doctor, states
from tests.support.processes import free_port
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


def test_settings_that_break_the_pool_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    status, found = doctor(LABPOOL_BEAT_S="60", LABPOOL_LEASE_TTL_S="20", LABPOOL_SLOTS="0")
    assert status == 1
    (slots,) = found["settings"]
    assert slots["says"] == "LABPOOL_SLOTS: say a number from 1, or auto."
    monkeypatch.setenv("LABPOOL_BEAT_S", "60")
    monkeypatch.setenv("LABPOOL_LEASE_TTL_S", "20")
    with pytest.raises(WrongSettings) as refused:
        load_settings()
    ((name, says),) = refused.value.problems
    assert name == "" and "LABPOOL_LEASE_TTL_S (20) has to be at least 3 times" in says


def test_a_misspelt_setting_is_named() -> None:
    given = ["LABPOOL_AGEING", "LABPOOL_AGEING_S", "LABPOOL_URL", "HOME"]
    (said,) = check_names(given)
    assert said.state == "note"
    assert said.says.startswith("LABPOOL_AGEING is no setting and does nothing. Is LABPOOL_AGEING_")


def test_a_reader_that_leaves_early_sees_no_trace() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_EARLY],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


CLOSED_EARLY = """
import os, deploy.doctor
from labpool.diagnosis import ok
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
deploy.doctor.check_python = lambda: ok("python", "x")
deploy.doctor.check_environment = lambda: ok("environment", "x")
deploy.doctor._service_checks = lambda url: [ok("much", "x" * 99_999)]
raise SystemExit(deploy.doctor.main([]))
"""
