"""The short form of tests/faults/kills.py: a runner and a worker killed in the middle of a run."""

from __future__ import annotations

from threading import Event

import pytest

from db.engine import Database
from tests.faults import frame, kills

# Half a dozen imports of TensorFlow, one after another, on a machine that may have other work.
pytestmark = pytest.mark.timeout(900)


def test_killed_runs_lose_at_most_an_interval_and_end_with_the_same_weights(
    postgres_url: str,
) -> None:
    database = Database(postgres_url)
    bench = kills.harry_one(
        "postgres", database, kills.KILLS_QUICK, kills.EPOCHS_QUICK, abandoned=Event()
    )
    database.dispose()
    found = kills.counted([bench], kills.KILLS_QUICK)
    assert list(frame.out_of_bounds(found, kills.BOUNDS)) == []
    assert found["kills"] == found["kills_postgres"] == 2
