"""The API under gunicorn, as it is started for people."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from db.engine import Database
from db.users import add_user, issue_token
from labpool.settings import CHECKOUT

STARTS_WITHIN_S = 60.0
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that it is refused is what is tested


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(url: str, folder: Path, port: int, host: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LABPOOL_")}
    return {
        **kept,
        "HOME": str(folder / "home"),
        "LABPOOL_DATA_DIR": str(folder / "data"),
        "LABPOOL_DATABASE_URL": url,
        "LABPOOL_BROKER_URL": "redis://127.0.0.1:1/0",
        "LABPOOL_HOST": host,
        "LABPOOL_PORT": str(port),
    }


COMMAND = [sys.executable, "-m", "gunicorn", "--config", "api/gunicorn_config.py"]


@contextmanager
def served(url: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "home").mkdir()
    process = subprocess.Popen(
        [*COMMAND, "api.wsgi:app"],
        cwd=CHECKOUT,
        env=environment(url, folder, port, "127.0.0.1"),
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("the server was not ready in time")


def token_of_somebody(url: str) -> str:
    database = Database(url)
    with database.transaction() as session:
        text = issue_token(session, add_user(session, "owner", "member"), "api")[1]
    database.dispose()
    return text


def test_it_works(sqlite_url: str, tmp_path: Path) -> None:
    token = token_of_somebody(sqlite_url)
    port = free_port()
    with served(sqlite_url, tmp_path, port) as process:
        wait_until_ready(port, process)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/sign-in").status_code == 200
            assert client.head("/api/v1/health").content == b""
            refused = client.get("/api/v1/health", headers={"Host": "evil.example"})
            assert refused.status_code == 421

            def chunks() -> Iterator[bytes]:
                yield b'{"kind": "train"'
                yield b" " * 2_000_000

            # Without a length nothing but reading tells how much comes.
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            answer = client.post("/api/v1/experiments", content=chunks(), headers=headers)
            assert answer.status_code == 413, answer.text
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.parametrize("by_flag", [False, True], ids=["setting", "flag"])
def test_an_open_address_needs_a_user(sqlite_url: str, tmp_path: Path, by_flag: bool) -> None:
    port = free_port()
    flag = ["--bind", f"{EVERYWHERE}:{port}"] if by_flag else []
    host = "127.0.0.1" if by_flag else EVERYWHERE
    ran = subprocess.run(
        [*COMMAND, *flag, "api.wsgi:app"],
        check=False,
        cwd=CHECKOUT,
        env=environment(sqlite_url, tmp_path, port, host),
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
    )
    assert ran.returncode != 0
    assert "no user has been set up" in ran.stderr
    assert "labpool user add" in ran.stderr
    assert "Listening" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_database_that_does_not_fit_is_said(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "api.wsgi:app"],
        check=False,
        cwd=CHECKOUT,
        env=environment(f"sqlite:///{tmp_path}/empty.db", tmp_path, free_port(), "127.0.0.1"),
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
    )
    assert ran.returncode != 0
    assert "older than this labpool" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_sign_in_links_stay_out_of_the_log(sqlite_url: str, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "home").mkdir()
    process = subprocess.Popen(
        [*COMMAND, "--access-logfile", "-", "api.wsgi:app"],
        cwd=CHECKOUT,
        env=environment(sqlite_url, tmp_path, port, "127.0.0.1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until_ready(port, process)
        httpx.get(f"http://127.0.0.1:{port}/sign-in?token=lp_1_swordfish")
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert b"/sign-in" in output
    assert b"swordfish" not in output
