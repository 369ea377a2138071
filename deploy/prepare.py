"""What must be true in the database and the data folder before the parts start."""

from __future__ import annotations

import socket
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from db.artifacts import FolderStore
from db.engine import Database
from db.migrate import check, upgrade
from db.models import User, Worker
from db.users import add_user, authenticate, find_user, issue_token, list_users
from db.workers import alive
from deploy.data_folder import read_json, write_private_json
from deploy.errors import DatabaseFileUnusable, DatabaseUnreachable, DeployError
from labpool.settings import Settings

LOCAL_USER = "local"
SIGN_IN_LIFETIME_S = 600.0


def open_database(settings: Settings) -> Database:
    """The database, answering and brought to the code's revision.

    Raises DatabaseUnreachable, DatabaseFileUnusable, or db's own error for a database newer than
    the code.
    """
    database = _connected(settings)
    try:
        upgrade(database)
    except (SQLAlchemyError, OSError) as error:
        database.dispose()
        raise _unusable(settings, error) from None
    return database


def check_database(settings: Settings) -> None:
    """Make sure that the database answers and fits this code, without changing it."""
    database = _connected(settings)
    try:
        check(database)
    finally:
        database.dispose()


def others_can_sign_in(database: Database) -> int:
    """How many enabled users there are besides the one `up` makes by itself."""
    with database.snapshot() as session:
        return sum(
            user.name != LOCAL_USER and user.disabled_at is None for user in list_users(session)
        )


def ensure_local_user(database: Database, settings: Settings, url: str) -> None:
    """Make the user `local` (admin) once, and client.json with a token of theirs that works."""
    path = settings.data_dir / "client.json"
    token = read_json(path).get("token")

    with database.transaction() as session:
        user = find_user(session, LOCAL_USER) or add_user(session, LOCAL_USER, "admin")
        known = isinstance(token, str) and authenticate(session, token, "api")
        if not known:
            _, token = issue_token(session, user, "api", "this computer", None)
    write_private_json(path, {"url": url, "token": token})


def sign_in_link(database: Database, url: str, name: str = LOCAL_USER) -> str:
    """A link that signs `name` in once, within ten minutes."""
    with database.transaction() as session:
        user = find_user(session, name)
        assert isinstance(user, User)
        _, secret = issue_token(session, user, "sign_in", "sign-in link", SIGN_IN_LIFETIME_S)
    return f"{url}/sign-in?token={quote(secret)}"


def worker_registered(database: Database, pid: int) -> bool:
    """Whether the worker process `pid` has told the database of itself."""
    with database.snapshot() as session:
        found = select(Worker.id).where(
            Worker.pid == pid, Worker.host == socket.gethostname(), alive()
        )
        return session.scalars(found).first() is not None


def ensure_store(settings: Settings) -> None:
    """Give the artifact folder its id before the API and the worker look for it."""
    FolderStore(settings.artifacts_dir)


def _connected(settings: Settings) -> Database:
    try:
        database = Database(settings.database)
        database.ping()
    except (SQLAlchemyError, OSError) as error:
        raise _unusable(settings, error) from None
    return database


def _unusable(settings: Settings, error: Exception) -> DeployError:
    """The same in words for whoever started the command."""
    url = make_url(settings.database)
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    if url.get_backend_name() == "sqlite":
        return DatabaseFileUnusable(str(url.database), reason)
    return DatabaseUnreachable(url.render_as_string(hide_password=True), reason)
