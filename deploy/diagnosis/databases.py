"""Whether the database answers, fits this code, and takes a write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from db.engine import Database
from db.errors import DatabaseNewer, DatabaseOlder
from db.migrate import check, current_revision
from labpool.diagnosis import Finding, note, ok, problem
from labpool.settings import Settings

NAME = "database"
LOCK_TIMEOUT_S = 2.0
REACH_IT = "Look at LABPOOL_DATABASE_URL, and whether its server runs"


def check_database(settings: Settings) -> tuple[Database | None, Finding]:
    """The database when it can be used, and what was found. Nothing is made or changed."""
    try:
        url = make_url(settings.database)
    except ArgumentError:
        says = "LABPOOL_DATABASE_URL is no address that SQLAlchemy understands."
        form = "export LABPOOL_DATABASE_URL=postgresql+psycopg://USER:PASSWORD@HOST/NAME"
        return None, problem(NAME, says, form)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database:
        finding = _check_file(Path(url.database))
        if finding is not None:
            return None, finding
    try:
        database = Database(settings.database)
    except (SQLAlchemyError, ImportError) as error:
        return None, problem(NAME, f"{shown}: {_first_line(error)}", REACH_IT)
    finding = _check_schema(database, shown)
    if finding.state != "ok":
        database.dispose()
        return None, finding
    return database, finding


def _check_file(path: Path) -> Finding | None:
    """What is wrong with an SQLite file; None when nothing is."""
    if not path.exists():
        return note(NAME, f"{path} will be made by the first start.", "labpool up")
    try:
        # Opened by a URI, so that nothing is made if it vanishes meanwhile.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)) as connection:
            connection.isolation_level = None
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            says = f"{path} is locked: another process has been writing for {LOCK_TIMEOUT_S:g} s."
            return problem(NAME, says, f"fuser -v {path}        (names the process that holds it)")
        mend = f"ls -l {path}\nRestore it from a backup, or start afresh with --data-dir OTHER"
        return problem(NAME, f"{path}: {error}.", mend)
    return None


def _check_schema(database: Database, shown: str) -> Finding:
    try:
        check(database)
    except DatabaseNewer as error:
        return problem(NAME, f"{shown}: {error}.", "git pull && make setup")
    except DatabaseOlder as error:
        if current_revision(database) is None:
            return note(NAME, f"{shown} is empty; the first start fills it.", "labpool up")
        mend = "labpool up        (or, in the lab: python -m deploy.migrate)"
        return problem(NAME, f"{shown}: {error}.", mend)
    except (SQLAlchemyError, OSError) as error:
        return problem(NAME, f"{shown}: {_first_line(error)}", REACH_IT)
    return ok(NAME, f"{shown}, revision {current_revision(database)}")


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
