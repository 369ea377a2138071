"""A process of its own that is killed in the midst of a transaction, before each statement in turn.

The kill is SIGKILL to a fork with connections of its own: nothing of it is left to roll back.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import Base

BEFORE_COMMIT, WENT_WRONG = 7, 8
# No transaction of a sweep of a few trials has as many statements.
MOST_STATEMENTS = 400


def killed_everywhere(database: Database, work: Callable[[Session], Any]) -> int:
    """Kill a process before each statement of ``work``, and before its COMMIT; how many that were.

    Raises AssertionError when anything of one of them is to be seen afterwards.
    """
    before, cuts = dump(database), 0
    if database.dialect == "sqlite":
        database.dispose()  # what a fork inherits of an open file is not its own
    for number in range(1, MOST_STATEMENTS):
        how = _fork(database, work, number)
        cuts += 1
        if how == BEFORE_COMMIT:
            break
        assert how == -signal.SIGKILL, f"statement {number}: the process ended with {how}"
    else:
        raise AssertionError(f"more than {MOST_STATEMENTS} statements")
    assert dump(database) == before, "something is left of what was killed"
    return cuts


class _Undo(Exception):
    """Nobody is to see it."""


def statements_of(database: Database, work: Callable[[Session], Any]) -> tuple[str, ...]:
    """The statements of ``work``, which is undone."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        found.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.transaction() as session:
            work(session)
            session.flush()
            raise _Undo
    except _Undo:
        return tuple(found)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def dump(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with database.snapshot() as session:
        return {
            table.name: sorted((tuple(row) for row in session.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def _fork(database: Database, work: Callable[[Session], Any], number: int) -> int:
    """How a process ends that does it and is killed before that statement, or before COMMIT."""
    child = os.fork()
    if child == 0:
        try:
            _do(database, work, number)
        finally:
            os._exit(WENT_WRONG)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _do(database: Database, work: Callable[[Session], Any], number: int) -> None:
    own = Database(database.url.render_as_string(hide_password=False))
    own.clock_offset_s = database.clock_offset_s
    with own.transaction() as session:
        session.connection()  # its own set-up is no statement of the work's
        _kill_before(own, number)
        work(session)
        session.flush()
        os._exit(BEFORE_COMMIT)


def _kill_before(database: Database, number: int) -> None:
    executed = 0

    @event.listens_for(database.engine, "before_cursor_execute")
    def _count(*_about: object) -> None:
        nonlocal executed
        executed += 1
        if executed == number:
            os.kill(os.getpid(), signal.SIGKILL)
