"""Rows of a board over seeds, windows, devices and damage, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from db import claims, owner
from db.boards import BoardRow, board_rows
from db.engine import Database
from db.models import Result, Trial
from labpool.boards import Window
from labpool.catalog import BoardEntry, Catalog
from tests.support.bulk import many_trials, statements
from tests.support.pool import TRAIN, person, slot, step_clock, submitted

DAY_S = 24 * 3600.0


@pytest.fixture
def board(catalog: Catalog) -> BoardEntry:
    return catalog.boards["digits"]


def runs(
    database: Database, catalog: Catalog, values: list[float], name: str = "ada", **raw: Any
) -> list[int]:
    """A submission of this many seeds and what its trials come to, each after 10 s."""
    wanted = {**TRAIN, "repeat": len(values), **raw}
    with database.transaction() as session:
        ids = submitted(session, catalog, person(session, name), wanted)
        taker = slot(session, catalog)
    for value in values:
        with database.transaction() as session:
            work = claims.claim(session, taker, 90.0)
            assert work is not None
        step_clock(database, 10)
        with database.transaction() as session:
            [trial] = work.trials
            metrics = {"test_accuracy": value, "train_seconds": 4.0}
            owner.succeed(session, trial.trial_id, trial.fence, metrics, {})
            owner.end_lease(session, work.lease_id)
    return ids


def rows_of(database: Database, board: BoardEntry, **given: Any) -> list[BoardRow]:
    with database.snapshot() as session:
        return board_rows(session, board, **given)


def test_it_works(database: Database, catalog: Catalog, board: BoardEntry) -> None:
    good = runs(database, catalog, [0.96, 0.97, 0.98])
    runs(database, catalog, [0.95, 0.97, 0.99], name="bob")
    runs(database, catalog, [0.5, 0.51, 0.52], epochs=3)
    runs(database, catalog, [0.51], epochs=4)
    rows = rows_of(database, board)

    assert [round(row.value, 6) for row in rows] == [0.97, 0.97, 0.51, 0.51]
    assert [row.rank for row in rows] == [1, 1, 3, 3]
    assert [(row.band.first, row.band.last) for row in rows if row.band] == [(1, 2)] * 2 + [
        (3, 4)
    ] * 2
    first = next(row for row in rows if row.user == "ada")
    assert (first.seeds, list(first.trial_ids)) == ((0, 1, 2), good)
    assert first.spread.half_width == pytest.approx(4.302653 * 0.01 / 3**0.5, rel=1e-5)
    assert first.trial_id == good[2], "the best run stands for the row"
    assert first.seconds == pytest.approx(30.0, abs=3.0)
    assert first.train_seconds == 12.0


def test_other_data_is_another_task(
    database: Database, catalog: Catalog, board: BoardEntry
) -> None:
    usual = runs(database, catalog, [0.9])
    runs(database, catalog, [1.0], dataset_parameters={"labels": "low"})
    said = runs(database, catalog, [0.8], name="bob", dataset_parameters={"labels": "all"})
    assert [row.trial_id for row in rows_of(database, board)] == [*usual, *said]
    spirals = runs(database, catalog, [0.9], dataset="spirals")
    runs(database, catalog, [1.0], dataset="spirals", dataset_parameters={"noise": 0.0})
    runs(database, catalog, [1.0], dataset="spirals", dataset_parameters={"turns": 0.5})
    found = rows_of(database, catalog.boards["spirals"])
    assert [row.trial_id for row in found] == spirals


def test_one_seed_again_is_no_further_run(
    database: Database, catalog: Catalog, board: BoardEntry
) -> None:
    runs(database, catalog, [0.9, 0.8])
    runs(database, catalog, [0.7], seed=1)
    [row] = rows_of(database, board)
    assert (row.spread.n, row.value) == (2, pytest.approx(0.85))
    assert len(row.trial_ids) == 3
    assert row.seconds == pytest.approx(30.0, abs=3.0), "every run costs"
    last = board.model_copy(update={"rule": "last"})
    [row] = rows_of(database, last)
    assert (row.spread.n, row.value, row.seed) == (2, pytest.approx(0.8), 1)
    every = board.model_copy(update={"rule": "all"})
    assert [row.value for row in rows_of(database, every)] == [0.9, 0.8, 0.7]
    assert all(row.band is None for row in rows_of(database, every))


def test_other_code_or_data_is_another_row(
    database: Database, catalog: Catalog, board: BoardEntry
) -> None:
    ids = runs(database, catalog, [0.9, 0.8, 0.7])
    with database.transaction() as session:
        session.execute(update(Trial).where(Trial.id == ids[1]).values(data_digest="d" * 64))
        session.execute(update(Trial).where(Trial.id == ids[2]).values(code_digest="c" * 64))
    assert [row.spread.n for row in rows_of(database, board)] == [1, 1, 1]


def test_what_is_no_value_never_ranks(
    database: Database, catalog: Catalog, board: BoardEntry
) -> None:
    kept, gone, stale = runs(database, catalog, [0.9, 0.95, 0.99])
    with database.transaction() as session:
        session.execute(
            update(Result).where(Result.trial_id == gone).values(metrics={"test_accuracy": None})
        )
        session.execute(update(Result).where(Result.trial_id == stale).values(fence=7))
    [row] = rows_of(database, board)
    assert (row.value, row.trial_ids) == (0.9, (kept,))


def test_a_window_counts_days(database: Database, catalog: Catalog, board: BoardEntry) -> None:
    old, new = runs(database, catalog, [0.9, 0.8])
    # 2026-01-01, the last second of it, and 2026-01-03.
    for trial_id, at in ((old, 1767225600.0 + DAY_S - 1), (new, 1767225600.0 + 2 * DAY_S)):
        with database.transaction() as session:
            session.execute(update(Trial).where(Trial.id == trial_id).values(finished_at=at))

    def counted(**window: Any) -> list[int]:
        within = board.model_copy(update={"window": Window.model_validate(window)})
        return [trial_id for row in rows_of(database, within) for trial_id in row.trial_ids]

    assert counted() == [old, new]
    assert counted(until="2026-01-01") == [old]
    assert counted(since="2026-01-01", until="2026-01-02") == [old]
    assert counted(since="2026-01-02") == [new]
    assert counted(days=1) == []
    assert counted(since="2026-01-04") == []


def test_a_device_class_counts_what_ran_there(
    database: Database, catalog: Catalog, board: BoardEntry
) -> None:
    ids = runs(database, catalog, [0.9, 0.8])
    with database.transaction() as session:
        session.execute(update(Result).where(Result.trial_id == ids[1]).values(device="gpu"))
    gpu, cpu = (board.model_copy(update={"device": name}) for name in ("gpu", "cpu"))
    assert [row.trial_ids for row in rows_of(database, gpu)] == [(ids[1],)]
    assert [row.trial_ids for row in rows_of(database, cpu)] == [(ids[0],)]
    assert len(rows_of(database, board)) == 2, "two devices are two rows"


def test_many_results_take_two_statements(database: Database, board: BoardEntry) -> None:
    many_trials(database, experiments=40, each=25)
    everything = board.model_copy(update={"where": {}})
    with statements(database) as seen:
        rows = rows_of(database, everything, limit=50)
    assert len(rows) == 50
    assert len(seen) == 2
