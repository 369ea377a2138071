"""`labpool user set`, straight in the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from db.engine import Database
from db.migrate import upgrade
from db.users import add_user, find_user
from deploy import admin


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("LABPOOL_DATA_DIR", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path}/labpool.db")
    upgrade(database)
    with database.transaction() as session:
        add_user(session, "grace")
    return database


def run(*arguments: str) -> Result:
    return CliRunner().invoke(admin.main, ["user", *arguments])


def test_it_works(database: Database) -> None:
    done = run("set", "grace", "--share", "2", "--max-running", "4")
    assert done.exit_code == 0, done.output
    assert done.output == "grace: share 2, at most 4 at once.\n"
    with database.snapshot() as session:
        user = find_user(session, "grace")
        assert user is not None
        assert (user.share, user.max_running) == (2.0, 4)
    [listed] = json.loads(run("ls", "--json").output)
    assert (listed["share"], listed["max_running"]) == (2.0, 4)
    assert (
        "as many slots as the pool allows" in run("set", "grace", "--max-running", "default").output
    )


@pytest.mark.parametrize(
    "arguments",
    [("grace", "--share", "0"), ("grace", "--max-running", "0"), ("grace", "--max-running", "x"),
     ("grace", "--max-running", "²"), ("grace", "--max-running", "9" * 30),
     ("nobody", "--share", "2")],
)  # fmt: skip
def test_nonsense_is_refused(database: Database, arguments: tuple[str, ...]) -> None:
    refused = run("set", *arguments)
    assert refused.exit_code != 0
    assert isinstance(refused.exception, SystemExit), "a message, not a traceback"
    with database.snapshot() as session:
        user = find_user(session, "grace")
        assert user is not None
        assert (user.share, user.max_running) == (1.0, None)
