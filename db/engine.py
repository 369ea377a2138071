"""Connections and transactions, the same for SQLite and Postgres."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from db.clock import SQLITE_FUNCTION

T = TypeVar("T")

# How long a write waits for the one before it, within this process and on the file.
_BUSY_S = 30.0

# A peer that vanished without a word is noticed within half a minute, not after the kernel's hours.
_KEEPALIVES_IDLE_S = 10
_KEEPALIVES_INTERVAL_S = 5
_KEEPALIVES_COUNT = 3
_UNACKNOWLEDGED_MS = 30_000

# Serialisation failure, deadlock, lock not available: the same transaction may pass next time.
_POSTGRES_TRANSIENT = {"40001", "40P01", "55P03"}


class Database:
    """One database, for one process. Threads may share it; a fork must make its own.

    ``url`` is an SQLAlchemy URL; ``postgresql://`` and ``postgres://`` mean psycopg 3.
    """

    def __init__(self, url: str, *, pool_size: int = 16) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.dialect = parsed.get_backend_name()
        self.clock_offset_s = 0.0
        self._turn = threading.Lock()
        if self.dialect == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        timeout_s = 30
        arguments: dict[str, Any] = {}
        if self.dialect == "postgresql":
            arguments["connect_args"] = _postgres_arguments()
        self.engine = create_engine(
            parsed, pool_size=pool_size, max_overflow=16, pool_timeout=timeout_s,
            pool_pre_ping=self.dialect != "sqlite", **arguments,
        )  # fmt: skip
        if self.dialect == "sqlite":
            self._set_up_sqlite(self.engine)
        self._read = sessionmaker(self.engine, expire_on_commit=False)
        writing = self.engine.execution_options(write=True)
        self._write = sessionmaker(writing, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction that writes; committed at the end, rolled back on any exception."""
        with self._my_turn(), self._write.begin() as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with self._read() as session:
            yield session

    def run(self, work: Callable[[Session], T], attempts: int = 8) -> T:
        """``work`` in a writing transaction, again from the start when another was in the way."""
        for attempt in range(attempts):
            try:
                with self.transaction() as session:
                    return work(session)
            except OperationalError as error:
                if attempt + 1 == attempts or not _transient(error):
                    raise
                time.sleep(random.uniform(0.5, 1.5) * 0.01 * 2**attempt)  # noqa: S311 - jitter
        raise AssertionError("unreachable")

    def ping(self) -> None:
        """Raises sqlalchemy.exc.OperationalError when the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """On SQLite, this process's writes one after another.

        One at a time is all that SQLite does. Who waits for the file asks again after ever longer
        pauses, and is passed over by whoever asks first then: with dozens of threads, for seconds.
        """
        taken = self.dialect == "sqlite" and self._turn.acquire(timeout=_BUSY_S)
        try:
            yield
        finally:
            if taken:
                self._turn.release()

    def _set_up_sqlite(self, engine: Engine) -> None:
        @event.listens_for(engine, "connect")
        def _connected(connection: sqlite3.Connection, _record: object) -> None:
            # The driver must not begin transactions by itself: "begin" below does it, and says how.
            connection.isolation_level = None
            cursor = connection.cursor()
            # The timeout comes first: switching to WAL takes a lock.
            cursor.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000:.0f}")
            cursor.execute("PRAGMA journal_mode = WAL")
            # What was acknowledged must survive a power cut, not only a crash.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()
            connection.create_function(
                SQLITE_FUNCTION, 0, lambda: time.time() + self.clock_offset_s
            )

        @event.listens_for(engine, "begin")
        def _begun(connection: Any) -> None:
            # A deferred transaction that reads and then writes fails at once if another wrote.
            write = connection.get_execution_options().get("write", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _postgres_arguments() -> dict[str, Any]:
    """What a connection is made with. On a Unix socket, which has no such silence, all is ignored.

    The server is asked for the same: until it knows that a host is gone, it keeps that host's
    locks, and one of a claim under way keeps every other slot waiting.
    """
    of_server = {
        "timezone": "UTC",
        "tcp_keepalives_idle": _KEEPALIVES_IDLE_S,
        "tcp_keepalives_interval": _KEEPALIVES_INTERVAL_S,
        "tcp_keepalives_count": _KEEPALIVES_COUNT,
        "tcp_user_timeout": _UNACKNOWLEDGED_MS,
    }
    return {
        "connect_timeout": 5,
        "keepalives": 1,
        "keepalives_idle": _KEEPALIVES_IDLE_S,
        "keepalives_interval": _KEEPALIVES_INTERVAL_S,
        "keepalives_count": _KEEPALIVES_COUNT,
        "tcp_user_timeout": _UNACKNOWLEDGED_MS,
        "options": " ".join(f"-c {name}={value}" for name, value in of_server.items()),
    }


def is_outage(error: BaseException) -> bool:
    """Whether ``error`` says that the database cannot be reached or cannot write just now."""
    if isinstance(error, DBAPIError):
        return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
    return isinstance(error, PoolTimeout | OSError)


def _transient(error: OperationalError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in _POSTGRES_TRANSIENT
    message = str(error.orig)
    return "database is locked" in message or "database table is locked" in message
