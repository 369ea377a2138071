"""What every test may use: real databases, a catalog, and a pool with people in it."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.support.databases import migrate, migrated_postgres, postgres_copy, running_postgres

# Started in the background of a script, this process would ignore Ctrl-C, and so would all that the
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TEST_CATALOG = CHECKOUT / "tests" / "support" / "catalog"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real Postgres, started for this run; without a database's name."""
    with running_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated database, to copy others from."""
    return migrated_postgres(postgres_server)


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated, empty Postgres database of this test's own."""
    with postgres_copy(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy others from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty SQLite database of this test's own."""
    path = tmp_path / "labpool.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The test runs on each kind of database."""
    url = request.getfixturevalue(f"{request.param}_url")
    assert isinstance(url, str)
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database; the test runs on each kind."""
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """labpool's own catalog."""
    return Catalog.load([CHECKOUT / "catalog"])
