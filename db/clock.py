"""The one clock: the database's, as seconds since 1970 in UTC.

Hosts' clocks differ; leases, ages and orders are computed in SQL from this expression alone. Tests
step it: on SQLite by ``Database.clock_offset_s``, on Postgres by ``labpool.clock_offset``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

SQLITE_FUNCTION = "labpool_now"
POSTGRES_SETTING = "labpool.clock_offset"


class db_now(FunctionElement[float]):  # noqa: N801 - read as an SQL function
    """Now, by the database's clock; moves on within a transaction."""

    type = Double()
    inherit_cache = True


@compiles(db_now, "sqlite")
def _on_sqlite(_element: db_now, _compiler: Any, **_options: Any) -> str:
    return f"{SQLITE_FUNCTION}()"


@compiles(db_now, "postgresql")
def _on_postgres(_element: db_now, _compiler: Any, **_options: Any) -> str:
    offset = f"coalesce(nullif(current_setting('{POSTGRES_SETTING}', true), ''), '0')::float8"
    return f"(extract(epoch from clock_timestamp())::float8 + {offset})"


def now(session: Session) -> float:
    """What the clock says, for arithmetic in Python and for columns that must agree."""
    return session.execute(select(db_now())).scalar_one()
