"""What SQLite and Postgres spell the same, and SQLAlchemy does not."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.models import Base


def insert_if_absent(session: Session, table: type[Base], **values: Any) -> bool:
    """Insert a row unless one with its key is there; whether it was inserted.

    When another transaction is inserting the same row, this waits for its end: a look first and an
    insert then would let both insert, and one of them fail.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing()
    key = next(iter(table.__table__.primary_key))
    return session.execute(statement.returning(key)).first() is not None
