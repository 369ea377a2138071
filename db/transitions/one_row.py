"""The one way in which a guarded UPDATE is made."""

from __future__ import annotations

from sqlalchemy import CursorResult, Update
from sqlalchemy.orm import Session


def one_row(session: Session, statement: Update) -> bool:
    """Whether the guard in its WHERE clause held: it changed one row."""
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
