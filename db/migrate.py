"""Bring a database to this code's schema, or say why that cannot be done."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from db.engine import Database
from db.errors import DatabaseNewer, DatabaseOlder

_MIGRATIONS = Path(__file__).parent / "migrations"
# Any number will do, as long as nothing else in the database takes an advisory lock on it.
_LOCK = 0x1AB9001


def _config() -> Config:
    config = Config()
    # The option is a format string; a percent sign in a path would be taken for a placeholder.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def head_revision() -> str:
    """The newest revision that this code knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def current_revision(database: Database) -> str | None:
    """The revision that the database is at; None when it is empty."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> None:
    """Bring the schema up to date; several processes may call it at once.

    Raises DatabaseNewer when the database is ahead of the code.
    """
    _refuse_newer(database)
    config = _config()
    with database.engine.execution_options(write=True).begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check(database: Database) -> None:
    """Raises DatabaseNewer or DatabaseOlder unless schema and code fit."""
    _refuse_newer(database)
    current = current_revision(database)
    if current != head_revision():
        raise DatabaseOlder(f"it is at {current or 'nothing'}, the code at {head_revision()}")


def _refuse_newer(database: Database) -> None:
    current = current_revision(database)
    try:
        ScriptDirectory.from_config(_config()).get_revision(current or "base")
    except CommandError:
        raise DatabaseNewer(
            f"it is at revision {current}, which this code (at {head_revision()}) does not know"
        ) from None
