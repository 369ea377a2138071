"""Lists in any order, page by page, on both databases; and that indexes answer them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from db import claims, findings, owner, usage
from db.engine import Database
from db.fairness import Rules
from db.queue_order import read_line
from db.reads import experiment_list, trial_list
from db.reads.curve_sets import curves_of_many, metric_names
from db.reads.curves import curves_since
from db.reads.keyset import Place
from db.reads.listing import Wanted
from db.reads.trials import rows_by_id
from labpool.catalog import Catalog
from tests.support import pool
from tests.support.bulk import many_trials, read_whole, statements

EVERYTHING = Wanted()


def value_of(session: Any, column: str) -> Callable[[int], Any]:
    """What a trial is sorted by, worked out in Python."""
    rows = rows_by_id(session, range(1, 1000))
    found: dict[str, Callable[[Any], Any]] = {
        "submitted": lambda row: row.id,
        "state": lambda row: row.state,
        "experiment": lambda row: row.experiment_name,
        "owner": lambda row: row.owner,
        "kind": lambda row: row.kind,
        "model": lambda row: row.code_name,
        "dataset": lambda row: row.data_name,
        "device": lambda row: row.ran_on or row.device,
        "seed": lambda row: row.seed,
        "progress": lambda row: row.progress_done / 10 if row.progress_total else None,
        "seconds": lambda row: row.seconds if row.metrics else None,
        "finished": lambda row: row.finished_at,
        "metrics.test_accuracy": lambda row: row.metrics.get("test_accuracy"),
        "params.learning_rate": lambda row: row.spec["learning_rate"],
    }
    return lambda row_id: found[column](rows[row_id])


def walked(
    read: Callable[..., list[Place]], session: Any, column: Any, descending: bool, limit: int
) -> list[int]:
    """The ids of all pages, one after the other."""
    ids: list[int] = []
    after = None
    for _ in range(100):
        found = read(session, EVERYTHING, column, descending, after, limit)
        if not found:
            return ids
        ids += [place.row_id for place in found]
        after = found[-1]
    raise AssertionError("the pages do not end")


COLUMNS = (*trial_list.SORTABLE, "metrics.test_accuracy", "params.learning_rate")


def test_every_column_sorts_both_ways_with_gaps_last(database: Database) -> None:
    many_trials(database, 20, 3)
    for column, descending in itertools.product(COLUMNS, (False, True)):
        with database.snapshot() as session:
            ids = walked(trial_list.trial_places, session, column, descending, 7)
            value = value_of(session, column)
            known = [row for row in range(1, 61) if value(row) is not None]
            unknown = [row for row in range(60, 0, -1) if value(row) is None]
        wanted = sorted(known, key=lambda row: (value(row), row), reverse=descending)
        assert ids == wanted + unknown, (column, descending)


def test_a_parameter_of_many_types_sorts_numbers_then_words(database: Database) -> None:
    many_trials(database, 20, 3)
    with database.snapshot() as session:
        ids = walked(trial_list.trial_places, session, "params.parameters.odd", False, 4)
        rows = rows_by_id(session, ids)
    odd = [rows[row_id].spec["parameters"].get("odd") for row_id in ids]
    assert sorted(ids) == list(range(1, 61))
    kinds = [0 if isinstance(value, float) else 2 if value is None else 1 for value in odd]
    assert kinds == sorted(kinds)
    numbers = odd[: kinds.count(0)]
    assert numbers == sorted(numbers)
    assert {"auto", True} <= {value for value in odd if not isinstance(value, list)}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(owner="ben"), lambda row: row.owner == "ben"),
        (Wanted(owner="nobody"), lambda row: False),
        (Wanted(state="failed"), lambda row: row.state == "failed"),
        (Wanted(model="lenet5", dataset="digits"), lambda row: row.code_name == "lenet5"),
        (Wanted(kind="benchmark"), lambda row: False),
        (Wanted(experiment_id=4), lambda row: row.experiment_id == 4),
        (Wanted(tag="keep"), lambda row: row.experiment_id % 3 == 0),
        (Wanted(tag="kee"), lambda row: False),
        (Wanted(text="RUN 003"), lambda row: row.experiment_name == "run 003"),
        (Wanted(text="%"), lambda row: False),
        (Wanted(owner_id=2, state="queued"), lambda row: row.owner_id == 2),
    ],
)
def test_a_filter_lets_through_what_fits(
    database: Database, wanted: Wanted, fits: Callable[[Any], bool]
) -> None:
    many_trials(database, 20, 3)
    with database.snapshot() as session:
        rows = rows_by_id(session, range(1, 61)).values()
        expected = {row.id for row in rows if fits(row)}
        if wanted.state:
            expected &= {row.id for row in rows if row.state == wanted.state}
        for column in ("submitted", "seconds", "metrics.test_accuracy", "owner"):
            found = trial_list.trial_places(session, wanted, column, True, None, 100)
            assert {place.row_id for place in found} == expected, column
        listed = experiment_list.experiment_places(session, wanted, "submitted", True, None, 100)
        of_trials = {row.experiment_id for row in rows if row.id in expected}
    if wanted.kind is None:
        assert {place.row_id for place in listed} == of_trials


def test_experiments_sort_by_every_column(database: Database) -> None:
    many_trials(database, 20, 3)
    best = {"test_accuracy": "maximize"}
    with database.snapshot() as session:
        rows = rows_by_id(session, range(1, 61)).values()
        accuracy: dict[int, float] = {}
        for row in rows:
            if "test_accuracy" in row.metrics:
                here = accuracy.get(row.experiment_id, 0.0)
                accuracy[row.experiment_id] = max(here, row.metrics["test_accuracy"])
        for column in (*experiment_list.SORTABLE, best):
            for descending in (False, True):
                ids = walked(experiment_list.experiment_places, session, column, descending, 6)
                assert sorted(ids) == list(range(1, 21)), column
        down = experiment_list.experiment_places(session, EVERYTHING, best, True, None, 20)
        shown = experiment_list.best_values(session, list(range(1, 21)), best)
    assert {row: values["test_accuracy"] for row, values in shown.items() if values} == (
        pytest.approx(accuracy)
    )
    ordered = [place.row_id for place in down if place.row_id in accuracy]
    assert ordered == sorted(accuracy, key=lambda row: (accuracy[row], row), reverse=True)


def test_a_place_of_another_order_is_refused(database: Database) -> None:
    many_trials(database, 2, 3)
    wrong = [Place(0, 1.5, 3), Place(0, None, 3), Place(9, None, 3), Place(-1, "x", 3)]
    with database.snapshot() as session:
        for place in wrong:
            with pytest.raises(ValueError, match=r"phase|kind"):
                trial_list.trial_places(session, EVERYTHING, "model", False, place, 5)


# Each as (column, filter): what people look at by default, and what an index can answer.
INDEXED = [
    ("submitted", Wanted()),
    ("submitted", Wanted(owner="ben")),
    ("submitted", Wanted(owner_id=2)),
    ("submitted", Wanted(state="failed")),
    ("submitted", Wanted(model="lenet5")),
    ("submitted", Wanted(experiment_id=7)),
    ("state", Wanted()),
    ("model", Wanted()),
    ("dataset", Wanted()),
    ("finished", Wanted()),
    ("seconds", Wanted()),
]


def test_ten_thousand_trials_are_listed_from_indexes(database: Database) -> None:
    many_trials(database, 1000, 10)
    for (column, wanted), descending in itertools.product(INDEXED, (False, True)):
        with database.snapshot() as session, statements(database) as seen:
            found = trial_list.trial_places(session, wanted, column, descending, None, 51)
            assert len(found) >= 10
            trial_list.trial_places(session, wanted, column, descending, found[-1], 51)
        assert 1 <= len(seen) <= 4, column
        for statement in seen:
            whole = read_whole(database, statement, "trials")
            if column == "submitted" and wanted == EVERYTHING:
                # SQLite reads the table in the order of its ids, and stops at the limit.
                assert whole in ([], ["SCAN trials"]), statement[0]
            elif wanted.experiment_id is None:
                assert whole == [], (column, descending, wanted, statement[0])
            else:
                # The trials of one experiment are few enough to sort.
                assert not any("trials" in step for step in whole), statement[0]


def test_the_check_of_plans_can_fail(database: Database) -> None:
    many_trials(database, 1000, 10)
    with database.snapshot() as session, statements(database) as seen:
        trial_list.trial_places(session, EVERYTHING, "seed", False, None, 51)
    assert read_whole(database, seen[0], "trials")


def test_the_queue_is_told_in_the_order_in_which_slots_take_it(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        people = {name: pool.person(session, name) for name in ("ada", "ben", "cleo")}
        slots = [pool.slot(session, catalog, host=f"host{n}") if database.dialect != "sqlite"
                 else pool.slot(session, catalog) for n in range(12)]  # fmt: skip
        for hours, name in enumerate(people):
            # What runs counts as used, so between equals the moments of the claims would decide.
            usage.charge(session, people[name].id, hours * 3600.0)
        for name in ("ada", "ada", "ada", "ben", "ben", "ada", "cleo", "ben"):
            pool.submitted(session, catalog, people[name])
        held, urgent = pool.submitted(session, catalog, people["ben"]) + pool.submitted(
            session, catalog, people["ada"]
        )
        pool.trial(session, held).held = True
        pool.trial(session, urgent).priority = 1
    with database.transaction() as session:
        assert claims.claim(session, slots[0], 90.0) is not None
        assert claims.claim(session, slots[1], 90.0) is not None
    with database.snapshot() as session:
        told = [(row.waiter.trial_id, row.waiter.due) for row in read_line(session, Rules()).places]
    assert told[-1] == (held, False)
    taken = []
    for slot in slots[2:]:
        with database.transaction() as session:
            claim = claims.claim(session, slot, 90.0)
            if claim is None:
                break
            taken.append(claim.trials[0].trial_id)
    assert taken == [trial_id for trial_id, due in told if due]
    assert len(taken) == 7


def test_curves_of_many_are_those_of_each(database: Database, catalog: Catalog) -> None:
    def points(session: Any, claim: Any, epochs: range) -> None:
        chunks = [
            findings.Chunk(name, [n * 10], [float(n)], [float(n)], [n + claim.fence / 100])
            for n in epochs
            for name in ("loss", "val_loss")
        ]
        findings.record_metrics(session, claim.trial_id, claim.fence, chunks)

    with database.transaction() as session:
        ada = pool.person(session)
        slot = pool.slot(session, catalog)
        plain, resumed = (pool.submitted(session, catalog, ada)[0] for _ in range(2))
    for trial_id in (plain, resumed):
        with database.transaction() as session:
            claim = claims.claim(session, slot, 90.0)
            assert claim is not None
            [trial] = claim.trials
            assert trial.trial_id == trial_id
            points(session, trial, range(1, 4))
            record = findings.CheckpointRecord(2, f"k{trial_id}", "0" * 64, 1, 0.5, True)
            findings.record_checkpoint(session, trial_id, trial.fence, record)
            if trial_id == plain:
                owner.succeed(session, trial_id, trial.fence, {"test_accuracy": 0.5}, {})
            else:
                owner.release(session, trial_id, trial.fence, "the worker stops")
            owner.end_lease(session, claim.lease_id)
    with database.transaction() as session:
        again = claims.claim(session, slot, 90.0)
        assert again is not None
        assert again.trials[0].resume is not None
        points(session, again.trials[0], range(3, 6))
    with database.snapshot() as session, statements(database) as seen:
        many = curves_of_many(session, [plain, resumed])
        count = len(seen)
        assert metric_names(session, [plain, resumed]) == ["loss", "val_loss"]
        for trial_id in (plain, resumed):
            alone = curves_since(session, trial_id).curves
            assert {curve.name: curve for curve in alone} == many[trial_id]
    assert many[resumed]["loss"].epochs == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert count == 3
    with database.snapshot() as session:
        assert list(curves_of_many(session, [resumed], ["loss"])[resumed]) == ["loss"]
