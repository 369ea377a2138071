"""Fixtures of the API's tests; a test file takes them with `pytest_plugins`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import Database
from labpool.catalog import Catalog
from tests.support.api import Api, make_api


@pytest.fixture
def api(database: Database, catalog: Catalog, tmp_path: Path) -> Api:
    """The API on each kind of database; everybody may read everything."""
    return make_api(database, catalog, tmp_path)


@pytest.fixture
def private_api(database: Database, catalog: Catalog, tmp_path: Path) -> Api:
    """The API of a lab that keeps results private."""
    return make_api(database, catalog, tmp_path, private_results=True)


@pytest.fixture
def quick_api(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> Iterator[Api]:
    """The API on SQLite alone, where the database makes no difference."""
    database = Database(sqlite_url)
    yield make_api(database, catalog, tmp_path)
    database.dispose()
