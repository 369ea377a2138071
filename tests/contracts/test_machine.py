"""The database's code against a small model of it, over random histories."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from db import transitions
from db.engine import Database
from db.models import Trial
from tests.faults import machine


def test_it_works(database: Database) -> None:
    assert machine.drive(database, examples=3, repeatable=True) > 100


def test_what_differs_is_found(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(session: Session, trial: Trial, *, actor: str) -> bool:
        return True

    monkeypatch.setattr(transitions, "request_cancel", forget)
    database = Database(sqlite_url)
    with pytest.raises(AssertionError):
        machine.drive(database, examples=50, repeatable=True, shrink=False)
    database.dispose()
