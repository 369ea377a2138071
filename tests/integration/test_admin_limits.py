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
from labpool.catalog import Catalog
from tests.support.pool import person, submitted


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
    assert done.output == "grace: share 2, at most 4 slots at once.\n"
    with database.snapshot() as session:
        user = find_user(session, "grace")
        assert user is not None
        assert (user.share, user.max_running) == (2.0, 4)
    [listed] = json.loads(run("ls", "--json").output)
    assert (listed["share"], listed["max_running"]) == (2.0, 4)
    unset = run("set", "grace", "--max-running", "default", "--json")
    assert json.loads(unset.output) == {"name": "grace", "share": 2.0, "max_running": None}
    assert "with no limit of slots" in run("set", "grace", "--share", "1").output


def test_the_pools_own_limit_is_shown(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABPOOL_MAX_RUNNING_PER_USER", "1")
    assert "1 (the pool's)" in run("ls").output
    assert json.loads(run("ls", "--json").output)[0]["max_running"] is None
    says = "at most 1 slot (the pool's limit) at once"
    assert says in run("set", "grace", "--share", "2").output


def test_setting_nothing_is_a_mistake(database: Database) -> None:
    refused = run("set", "grace")
    assert refused.exit_code == 2
    assert "say --share or --max-running" in refused.output


def test_who_is_disabled_is_told_with_what_goes_on(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        submitted(session, catalog, person(session, "grace"))
    assert "1 of theirs waits and 0 run: experiment 1." in run("disable", "grace").output
    assert run("enable", "grace").output == "grace is enabled.\n"


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
