"""A history of chaos that is clean, for tests of its checker to do harm to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from db.engine import Database
from labpool.catalog import Catalog
from tests.faults.checks.seen import Seen
from tests.support.chaos_history import lived_through


@pytest.fixture(scope="session")
def clean(
    sqlite_template: Path, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    """Copy it before doing harm to it."""
    folder = tmp_path_factory.mktemp("history")
    shutil.copy(sqlite_template, folder / "labpool.db")
    database = Database(f"sqlite:///{folder / 'labpool.db'}")
    seen = lived_through(database, catalog, folder)
    database.dispose()
    return seen
