"""Short forms of what `make faults` measures: the same code, without its times.

That a queue drains without a broker is tested with the worker's process.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.models import Attempt, Trial
from db.states import TrialState
from tests.faults import cancel, frame, latency, outage, submissions
from tests.faults.service import Service, service
from tests.support.databases import Fresh, postgres_copy

# Real processes, TensorFlow among them, on a machine that may have other work.
pytestmark = pytest.mark.timeout(900)

WORKER = (sys.executable, "-m", "tests.faults.timed_worker", "--cancel-grace-s", "1")


@pytest.fixture
def fresh(
    sqlite_template: Path, postgres_server: str, postgres_template: str, tmp_path: Path
) -> Fresh:
    """Copies of the tests' own databases: neither a server nor a schema is made for them."""

    @contextmanager
    def copy(kind: str) -> Iterator[Database]:
        with ExitStack() as stack:
            if kind == "sqlite":
                url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'labpool.db')}"
            else:
                url = stack.enter_context(postgres_copy(postgres_server, postgres_template))
            database = Database(url)
            stack.callback(database.dispose)
            yield database

    return copy


@pytest.fixture(scope="module")
def pool(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one idle slot that hears of work by the bell alone."""
    folder = tmp_path_factory.mktemp("figures")
    file = folder / "labpool.db"
    file.write_bytes(sqlite_template.read_bytes())
    database = Database(f"sqlite:///{file}")
    with service(folder, database, {**cancel.SETTINGS, **latency.ONLY_THE_BELL}) as running:
        running.start_worker(WORKER)
        running.wait_ready(1)
        yield running
    database.dispose()


def test_a_submission_is_rung_for_claimed_and_taken_up(pool: Service) -> None:
    steps = latency.start(pool, seed=1)
    assert set(steps) >= set(latency.STEPS)
    times = [steps[what] for what in ("rung", "claimed", "sent", "taken_up", "started")]
    assert times == sorted(times)


def test_a_cancel_ends_a_run_and_its_runner_serves_on(pool: Service) -> None:
    cancel.cancel_running(pool, 0)
    latency.start(pool, seed=2)
    with pool.database.snapshot() as session:
        assert session.scalars(select(func.count(Attempt.id)).group_by(Attempt.trial_id)).all() == (
            [1] * session.scalars(select(func.count(Trial.id))).one()
        )


def test_nothing_remains_of_a_runner_that_heard_no_cancel(pool: Service) -> None:
    _, left_over = cancel.cancel_stuck(pool)
    assert left_over == 0
    with pool.database.snapshot() as session:
        stuck = session.scalars(select(Trial).order_by(Trial.id.desc()).limit(1)).one()
    assert (stuck.state, stuck.reason_kind) == (TrialState.CANCELLED, "cancelled")


@pytest.mark.parametrize("measure", [outage, submissions], ids=["outage", "submissions"])
def test_short_form(measure: Any, fresh: Fresh) -> None:
    assert list(frame.out_of_bounds(measure.figures(True, fresh), measure.BOUNDS)) == []
