"""kill -9 between any two statements of what moves a sweep, for every strategy and pruner."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from sqlalchemy.orm import Session

from db import commands, lengthening
from db.engine import Database
from db.models import Experiment
from labpool.catalog import Catalog
from tests.support import killed
from tests.support.databases import fresh_database
from tests.support.killed import killed_everywhere, statements_of
from tests.support.pool import person
from tests.support.searched import ASHA, MEDIAN, TPE, Life

T = TypeVar("T")
_RATES = {"learning_rate": [0.002, 0.5, 0.1, 0.02]}
GRID = {
    **ASHA, "space": _RATES,
    "strategy": {"method": "grid", "pruner": ASHA["strategy"]["pruner"]},
}  # fmt: skip
QMC = {**ASHA, "strategy": {**ASHA["strategy"], "method": "qmc"}}
TPE_ASHA = {
    **ASHA,
    "strategy": {**TPE["strategy"], "pruner": ASHA["strategy"]["pruner"]},
}  # fmt: skip
# What only a search writes to a trial: it promotes one, or wishes that one that runs be ended.
OF_A_SEARCH = ("SET rung=", "SET wish=")
SWEEPS = {
    "grid": GRID, "random": ASHA, "qmc": QMC, "tpe": TPE_ASHA, "median": MEDIAN,
    "budget": {**ASHA, "budget_slot_seconds": 1e-9},
}  # fmt: skip


class CutEverywhere(Life):
    """A life in which whatever moves the sweep is tried by processes that are killed in it.

    Of transactions with the same statements, one.
    """

    def __init__(self, *of: Any, **more: Any) -> None:
        self.cuts = 0
        self.tried: dict[tuple[str, ...], str] = {}
        super().__init__(*of, **more)

    def write(self, work: Callable[[Session], T], moves: bool = False) -> T:
        """Killed before each of its statements; then done."""
        statements = statements_of(self.database, work)
        acts = any(words in one for one in statements for words in OF_A_SEARCH)
        if (moves or acts) and statements not in self.tried:
            self.tried[statements] = getattr(work, "func", work).__name__
            self.cuts += killed_everywhere(self.database, work)
        return super().write(work, moves)


@pytest.mark.parametrize(
    ("kind", "name"), [*(("sqlite", name) for name in SWEEPS), ("postgres", "random")]
)
def test_it_works(kind: str, catalog: Catalog, name: str) -> None:
    """Nothing of a killed transaction is left, and the sweep ends as one that nobody killed."""
    with fresh_database(kind) as database:
        _compare(database, catalog, name)


def _compare(database: Database, catalog: Catalog, name: str) -> None:
    whole = Life(database, catalog, SWEEPS[name], name="whole")
    whole.go()
    life = CutEverywhere(database, catalog, SWEEPS[name], name="cut")
    life.go()
    assert [row[:3] for row in life.table()] == [row[:3] for row in whole.table()]
    assert life.cuts > 10 * len(life.tried), "a transaction that moves a sweep has many statements"
    if name == "median":
        assert life._epoch.__name__ in life.tried.values(), "it acts at the ends of epochs"
    assert life.agrees()


@pytest.mark.parametrize("command", ["pause", "resume", "stop", "cancel"])
def test_what_people_ask_of_a_sweep(database: Database, catalog: Catalog, command: str) -> None:
    """With two at their rungs, one that runs and one that waits; and a resume of all that."""
    life = Life(database, catalog, ASHA)
    life.one()
    life.one()
    life.claim()

    def ask(session: Session, what: str) -> None:
        sweep, by = session.get_one(Experiment, life.experiment), person(session)
        getattr(commands, f"{what}_experiment")(session, sweep, by)

    if command == "resume":
        life.write(partial(ask, what="pause"))
    assert killed_everywhere(database, partial(ask, what=command)) > 10
    life.write(partial(ask, what=command))
    assert life.agrees()


def test_trials_that_are_added(database: Database, catalog: Catalog) -> None:
    life = Life(database, catalog, ASHA)
    life.go()

    def add(session: Session) -> int:
        sweep = session.get_one(Experiment, life.experiment)
        return lengthening.add_trials(session, sweep, 3, 100, 100)

    assert killed_everywhere(database, add) > 10
    assert life.write(add) == 3
    life.go()
    assert [row[0] for row in life.table()] == list(range(7))
    assert {row[2] for row in life.table()} == {"succeeded", "pruned"}
    assert life.agrees()


def test_what_is_left_is_seen(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that commits half-way is caught."""

    def careless(session: Session) -> None:
        # A name that no process before it has left.
        person(session, f"half{os.getpid()}").share = 2.0
        session.flush()
        session.connection().exec_driver_sql("COMMIT")
        person(session, "other")

    with fresh_database("sqlite") as database:
        with pytest.raises(AssertionError, match="something is left of"):
            killed_everywhere(database, careless)
        monkeypatch.setattr(killed, "MOST_STATEMENTS", 2)
        with pytest.raises(AssertionError, match="more than 2 statements"):
            killed_everywhere(database, lambda session: [person(session, n) for n in "abc"])
