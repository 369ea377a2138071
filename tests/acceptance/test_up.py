"""`labpool up` for real: broker, API and worker as processes on SQLite in a fresh folder."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.data_folder import read_json
from deploy.process_table import descendants, identify
from labpool import Client
from tests.support.processes import Processes, answers, assert_gone, free_port, wait_until
from tests.support.up import SMALL_MLP, Up, client_of, run_module, run_up, running_up


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One service for the tests that leave it as it was."""
    with running_up(tmp_path_factory.mktemp("up")) as service:
        service.wait_ready()
        yield service


def test_it_works(up: Up) -> None:
    with client_of(up) as client:
        submission = client.submit(SMALL_MLP)
        experiment = client.wait(submission.id, timeout_s=120)
        assert experiment.succeeded
        (trial,) = client.trials(submission.id)
        assert 0 <= (trial.metrics["test_accuracy"] or -1) <= 1
        assert len(client.curves(trial.id)["loss"].values) >= 2


def test_the_data_folder_is_private(up: Up) -> None:
    assert stat.S_IMODE(up.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((up.data_dir / "client.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((up.data_dir / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((up.data_dir / "run" / "broker.sock").stat().st_mode) == 0o700


def test_the_broker_has_no_port(up: Up) -> None:
    tables = [Path(f"/proc/{up.part('valkey-server')}/net/{name}") for name in ("tcp", "tcp6")]
    inodes = set()
    for descriptor in Path(f"/proc/{up.part('valkey-server')}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for table in tables:
        assert not inodes & {line.split()[9] for line in table.read_text().splitlines()[1:]}


def test_the_sign_in_link_works_once(up: Up) -> None:
    link = read_json(up.ready_file)["sign_in"]
    origin = read_json(up.ready_file)["url"]
    assert signed_in(link, origin)
    assert not signed_in(link, origin)


def signed_in(link: str, origin: str) -> bool:
    """Open the link, press its button, and see whether the pages let one in."""
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(link)
        assert page.status_code == 200
        inputs = re.findall(r'name="(\w+)" value="([^"]*)"', page.text)
        browser.post(f"{origin}/sign-in", data=dict(inputs), headers={"Origin": origin})
        return browser.get(f"{origin}/experiments").status_code == 200


def test_a_second_up_on_the_same_folder_is_refused(up: Up) -> None:
    result = run_up("--data-dir", str(up.data_dir), "--port", "0")
    assert result.returncode == 1
    assert f"Process {up.pid}" in result.stderr
    assert read_json(up.ready_file)["url"] in result.stderr
    assert "--data-dir" in result.stderr
    assert answers(read_json(up.ready_file)["url"] + "/api/v1/ready")


def test_a_taken_port_is_named(up: Up, tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = run_up("--data-dir", str(tmp_path / "data"), "--port", str(port))
    assert result.returncode == 1
    assert f"port {port}" in result.stderr
    assert f"--port {port + 1}" in result.stderr


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    # A file in the way, since root writes wherever it likes.
    (tmp_path / "file").touch()
    result = run_up("--data-dir", str(tmp_path / "file" / "data"), "--port", "0")
    assert result.returncode == 1
    assert str(tmp_path / "file" / "data") in result.stderr
    assert "--data-dir" in result.stderr


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    result = run_up("--data-dir", str(tmp_path / "data"), LABPOOL_BEAT_S="soon")
    assert result.returncode == 1
    assert "LABPOOL_BEAT_S" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_option_is_named_as_it_was_written(tmp_path: Path) -> None:
    result = run_up("--data-dir", str(tmp_path / "data"), "--slots", "x")
    assert result.returncode == 1
    assert result.stderr.strip() == "labpool up: --slots: say a number from 1, or auto"


def test_another_address_needs_users(tmp_path: Path) -> None:
    result = run_up("--data-dir", str(tmp_path / "data"), "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    assert result.returncode == 1
    assert "labpool user add" in result.stderr


def test_a_database_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://someone:hunter2@127.0.0.1:{free_port()}/none"
    result = run_up("--data-dir", str(tmp_path / "data"), "--port", "0", LABPOOL_DATABASE_URL=url)
    assert result.returncode == 1
    assert "LABPOOL_DATABASE_URL" in result.stderr
    assert "hunter2" not in result.stderr


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    import sqlite3

    data_dir = tmp_path / "data"
    settings = {"LABPOOL_DATA_DIR": str(data_dir)}
    assert run_module("deploy.migrate", **settings).returncode == 0
    with sqlite3.connect(data_dir / "labpool.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    connection.close()
    result = run_up("--data-dir", str(data_dir), "--port", "0")
    assert result.returncode == 1
    assert "newer" in result.stderr
    assert "from_the_future" in result.stderr


def test_a_worker_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    broken = tmp_path / "catalog" / "models" / "broken"
    broken.mkdir(parents=True)
    (broken / "model.toml").write_text("title = \n")
    result = run_up(
        *("--data-dir", str(tmp_path / "data"), "--port", "0"),
        LABPOOL_CATALOG_PATH=str(tmp_path / "catalog"),
    )
    assert result.returncode == 1
    assert "A part of labpool failed" in result.stderr
    assert "model.toml" in result.stderr
    assert "Traceback (most recent call last)" not in result.stderr.splitlines()[0]


def test_it_stops_cleanly_and_starts_again(tmp_path: Path) -> None:
    for _ in range(2):
        with running_up(tmp_path) as up:
            ready = up.wait_ready()
            seen = descendants(up.pid)
            assert len(seen) >= 3
            up.signal(signal.SIGINT)
            assert up.wait(30.0)
            assert up.status == 0
        assert_gone(seen, 1.0)
        assert not answers(ready["url"] + "/api/v1/ready")
        assert read_json(up.data_dir / "run" / "up.lock") == {}
        up.ready_file.unlink()


def test_postgres_and_a_broker_of_ones_own(tmp_path: Path, postgres_url: str) -> None:
    with Processes(tmp_path / "processes") as processes:
        broker = processes.broker()
        settings = {"LABPOOL_DATABASE_URL": postgres_url, "LABPOOL_BROKER_URL": broker.url}
        with running_up(tmp_path, **settings) as up:
            up.wait_ready()
            assert up.part("valkey-server") == -1
            assert not (up.data_dir / "labpool.db").exists()
            with client_of(up) as client:
                assert client.wait(client.submit(SMALL_MLP).id, timeout_s=120).succeeded


def test_kill_9_leaves_no_orphans_and_the_next_start_works(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        up.wait_ready()
        with client_of(up) as client:
            token = client.address.token
        seen = descendants(up.pid)
        up.kill()
        assert_gone(seen, 30.0)
    up.ready_file.unlink()
    with running_up(tmp_path) as again:
        again.wait_ready()
        with client_of(again) as client:
            # The token written by the first start still holds.
            assert client.address.token == token
            assert client.experiments() == []


@pytest.mark.parametrize("name", ["valkey-server", "api.wsgi", "-m\0worker\0"])
def test_a_killed_part_is_named_and_started_again(up: Up, name: str) -> None:
    old = up.part(name)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: identify(old) is None, 10, f"the end of {name}")
    part = {"valkey-server": "broker", "api.wsgi": "api"}.get(name, "worker")
    wait_until(lambda: f"The {part} was killed by SIGKILL" in up.log_tail(50), 10, "the word")
    url = read_json(up.ready_file)["url"]
    wait_until(lambda: up.part(name) not in (old, -1) and answers(url + "/api/v1/ready"), 60, name)
    with client_of(up) as client:
        experiment = client.wait(client.submit(SMALL_MLP).id, timeout_s=120)
        assert experiment.succeeded


def test_users_and_tokens_from_the_command_line(up: Up) -> None:
    settings = {"LABPOOL_DATA_DIR": str(up.data_dir)}
    added = run_module("deploy.admin", "user", "add", "ada", "--json", **settings)
    assert added.returncode == 0, added.stderr
    token = json.loads(added.stdout)["token"]
    url = read_json(up.ready_file)["url"]
    with Client(url, token) as ada:
        assert ada.experiments() is not None
    listed = run_module("deploy.admin", "token", "ls", "ada", "--json", **settings)
    (row,) = json.loads(listed.stdout)
    assert token not in listed.stdout
    assert run_module("deploy.admin", "token", "revoke", str(row["id"]), **settings).returncode == 0
    with Client(url, token) as ada, pytest.raises(Exception, match="401"):
        ada.experiments()
    assert run_module("deploy.admin", "user", "disable", "ada", **settings).returncode == 0
    assert "NAME" not in run_module("deploy.admin", "user", "ls", **settings).stdout
    missing = run_module("deploy.admin", "user", "disable", "nobody", **settings)
    assert missing.returncode == 1
    assert "labpool user ls" in missing.stderr
