"""Sweeps that decide as they go, on both databases: at every cut the table of rungs is the same."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from db import commands
from db.engine import Database
from db.models import Attempt, Lease, Trial
from db.states import Outcome, TrialState
from labpool.catalog import Catalog
from tests.support.pool import person, step_clock
from tests.support.searched import ASHA, MEDIAN, TPE, Life, locked, surface


def test_it_works(database: Database, catalog: Catalog) -> None:
    """Rungs at 1 and 2 epochs of 4; half go on from each; what is left behind is pruned."""
    life = Life(database, catalog, ASHA)
    life.go()
    table = life.table()
    by_merit = sorted(table, key=lambda row: -surface(row[3]["learning_rate"], 1))
    assert [row[2] for row in by_merit] == ["succeeded"] + 3 * ["pruned"]
    assert [max(row[4]) for row in by_merit] == [4, 2, 1, 1]
    assert [row[1] for row in by_merit] == [2, 1, 0, 0]
    assert locked(database, life.experiment) == 0
    assert life.agrees()


def test_at_a_rung_the_slot_is_given_back(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, ASHA)
    assert life.one()
    first = life.trials()[0]
    assert (first.state, first.at_rung, first.held, first.lease_id) == (
        TrialState.PAUSED, True, False, None,
    )  # fmt: skip
    assert first.reason == "It waits at rung 0, after epoch 1; its checkpoint is kept."
    with database.snapshot() as session:
        attempt = session.scalars(select(Attempt)).one()
        assert (attempt.outcome, attempt.charged) == (Outcome.PAUSED, True)
        assert session.scalars(select(Lease)).one().ended_at is not None


def test_a_promoted_trial_goes_on_from_its_checkpoint(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, ASHA)
    life.go()
    best = next(row for row in life.trials() if row.state is TrialState.SUCCEEDED)
    with database.snapshot() as session:
        attempts = session.scalars(
            select(Attempt).where(Attempt.trial_id == best.id).order_by(Attempt.fence)
        ).all()
        assert [attempt.resumed_epoch for attempt in attempts] == [None, 1, 2]
        assert [attempt.outcome for attempt in attempts] == [
            Outcome.PAUSED, Outcome.PAUSED, Outcome.SUCCEEDED,
        ]  # fmt: skip


@pytest.mark.parametrize("raw", [ASHA, MEDIAN, TPE], ids=["asha", "median", "tpe"])
def test_a_kill_at_any_write_changes_nothing(
    database: Database, catalog: Catalog, raw: dict[str, Any]
) -> None:
    """Before each COMMIT of the slot's and after it: the same trials end at the same rungs."""
    whole = Life(database, catalog, raw, name="whole")
    whole.go()
    expected = whole.table()
    assert {row[2] for row in expected} == (
        {"succeeded"} if raw is TPE else {"succeeded", "pruned"}
    )
    for number in range(1, whole.writes + 1):
        for when in ("before", "after"):
            life = Life(database, catalog, raw, (number, when), name=f"cut{number}{when}")
            life.go()
            assert life.kills == 1
            assert life.table() == expected, f"{when} the COMMIT of write {number}"
    assert whole.agrees()


def test_the_median_ends_what_runs(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, MEDIAN)
    life.go()
    pruned = [row for row in life.trials() if row.state is TrialState.PRUNED]
    assert pruned
    for row in pruned:
        assert (row.reason_kind, row.wish) == ("pruned", None)
        assert row.reason is not None
        assert row.reason.startswith("Its sweep's search ended it after epoch ")
        assert row.finished_at is not None
    with database.snapshot() as session:
        outcomes = set(session.scalars(select(Attempt.outcome)))
        assert outcomes == {Outcome.PRUNED, Outcome.SUCCEEDED}
    assert life.agrees()


def test_a_trial_made_later_is_one_of_the_submission(database: Database, catalog: Catalog) -> None:
    """Of the entries that it was planned with, whatever the catalog holds by then; by turn."""
    life = Life(database, catalog, TPE)
    assert len(life.ids) == 2, "as many as may wait or run at a time"
    life.go()
    rows = life.trials()
    assert [row.point for row in rows] == [0, 1, 2, 3, 4]
    assert [row.state for row in rows] == [TrialState.SUCCEEDED] * 5
    for name in ("code_digest", "data_digest", "owner_id", "device", "priority"):
        assert len({getattr(row, name) for row in rows}) == 1, name
    assert len({row.spec["learning_rate"] for row in rows}) == 5
    assert all(row.queued_at > rows[0].queued_at for row in rows[2:])
    assert {row.trace_key for row in rows} == {rows[0].trace_key}
    assert life.agrees()


def test_what_somebody_ran_again_is_none_of_the_searchs(
    database: Database, catalog: Catalog
) -> None:
    """It takes a number, which the next trial of the search must not want too."""
    life = Life(database, catalog, TPE)
    life.one()
    with database.transaction() as session:
        ended = session.get_one(Trial, life.ids[0])
        again = commands.retry_trial(session, ended, person(session))
    life.go()
    rows = {row.id: row for row in life.trials()}
    assert (rows[again].point, rows[again].rung) == (None, None)
    assert sorted(row.point for row in rows.values() if row.point is not None) == [0, 1, 2, 3, 4]
    assert len({row.number for row in rows.values()}) == 6


def test_a_spent_budget_ends_what_waits(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, {**ASHA, "budget_slot_seconds": 50.0})
    found = life.claim()
    step_clock(database, 60.0)
    life.carry_out(found.lease_id, found.trials[0])
    assert [row.state for row in life.trials()] == [TrialState.PRUNED] * 4
    assert life.trials()[-1].reason == (
        "Its sweep's search ended it before it ran: the budget is used."
    )
    assert life.agrees()
