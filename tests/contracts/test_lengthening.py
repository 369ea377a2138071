"""Trials that are added to a sweep, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from db import commands
from db.engine import Database
from db.errors import NotPossible, QueueFull
from db.lengthening import add_trials
from db.models import Experiment
from db.states import TrialState
from labpool.catalog import Catalog
from tests.support.pool import person
from tests.support.searched import ASHA, TPE, Life

PLAIN: dict[str, Any] = {**ASHA, "strategy": {"method": "random", "trials": 2, "seed": 3}}


def lengthen(life: Life, more: int, max_trials: int = 1000, max_queued: int = 5000) -> int:
    with life.database.transaction() as session:
        sweep = session.get_one(Experiment, life.experiment)
        return add_trials(session, sweep, more, max_trials, max_queued)


@pytest.mark.parametrize("raw", [PLAIN, TPE], ids=["random", "tpe"])
def test_a_sweep_that_has_ended_goes_on(
    database: Database, catalog: Catalog, raw: dict[str, Any]
) -> None:
    life = Life(database, catalog, raw)
    life.go()
    before = life.table()
    assert lengthen(life, 3) == (3 if raw is PLAIN else 2)
    life.go()
    after = life.table()
    assert after[: len(before)] == before, "what has ended stays as it is"
    assert len(after) == len(before) + 3
    assert {row[2] for row in after} == {"succeeded"}
    assert life.agrees()


def test_they_are_those_that_a_longer_sweep_would_have_had(
    database: Database, catalog: Catalog
) -> None:
    life = Life(database, catalog, PLAIN)
    lengthen(life, 2)
    longer = Life(database, catalog, {**PLAIN, "strategy": {**PLAIN["strategy"], "trials": 4}})
    assert [row[3] for row in life.table()] == [row[3] for row in longer.table()]
    assert [row.rung for row in life.trials()] == [None] * 4, "no search goes on"


def test_new_ones_climb_the_rungs_with_those_that_wait(
    database: Database, catalog: Catalog
) -> None:
    life = Life(database, catalog, ASHA)
    life.go()
    assert lengthen(life, 4) == 4
    assert [row.halts_at for row in life.trials()[4:]] == [1] * 4
    life.go()
    assert {row.state for row in life.trials()} == {TrialState.SUCCEEDED, TrialState.PRUNED}
    assert life.agrees()


def test_a_stopped_search_goes_on(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, TPE)
    life.one()
    with database.transaction() as session:
        sweep = session.get_one(Experiment, life.experiment)
        commands.stop_experiment(session, sweep, person(session))
    life.go()
    assert len(life.trials()) < 5
    lengthen(life, 1)
    life.go()
    assert len(life.trials()) == 6
    assert life.agrees()


def test_what_is_refused(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, PLAIN)
    with pytest.raises(NotPossible, match="It would come to 7 trials, where a sweep may have 6"):
        lengthen(life, 5, max_trials=6)
    with pytest.raises(QueueFull, match="2 wait and 5 more would pass the limit of 6"):
        lengthen(life, 5, max_queued=6)
    grid = Life(database, catalog, {**PLAIN, "strategy": {"method": "grid"},
                                    "space": {"learning_rate": [0.1, 0.2]}})  # fmt: skip
    with pytest.raises(NotPossible, match="Only a sweep that draws its trials"):
        lengthen(grid, 1)
    paused = Life(database, catalog, ASHA)
    with database.transaction() as session:
        sweep = session.get_one(Experiment, paused.experiment)
        commands.pause_experiment(session, sweep, person(session))
    with pytest.raises(NotPossible, match="It is paused; `labpool resume"):
        lengthen(paused, 1)
