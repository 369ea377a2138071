"""Random histories of searched sweeps: people, slots and kills; the rows say all that there is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from db import commands, lengthening
from db.engine import Database
from db.errors import NotPossible
from db.models import Experiment, Trial
from db.states import TERMINAL
from labpool.catalog import Catalog
from tests.faults.searches import left_undone
from tests.support.databases import fresh_database
from tests.support.pool import person
from tests.support.searched import ASHA, MEDIAN, TPE, Killed, Life

STEPS = 25
SWEEPS: dict[str, dict[str, Any]] = {"asha": ASHA, "median": MEDIAN, "tpe": TPE}
OF_A_TRIAL = ("pause", "resume", "stop", "cancel")
OF_THE_SWEEP = ("pause", "resume")


class Wild(Life):
    """A life in which anything may happen next."""

    added = 0

    def step(self, source: random.Random) -> None:
        """One thing, of which most is work."""
        match source.choice(("work",) * 5 + ("kill",) * 2 + ("trial", "sweep", "extend")):
            case "kill":
                self.cut = (self.writes + source.randint(1, 4), source.choice(("before", "after")))
                self._work()
            case "trial":
                self._ask(source.choice(self.trials()).id, source.choice(OF_A_TRIAL))
            case "sweep":
                self.ask_all(source.choice(OF_THE_SWEEP))
            case "extend":
                self._extend()
            case _:
                self._work()

    def ask_all(self, what: str) -> None:
        with self.database.transaction() as session:
            sweep, by = session.get_one(Experiment, self.experiment), person(session)
            getattr(commands, f"{what}_experiment")(session, sweep, by)

    def _work(self) -> None:
        try:
            self.one()
        except Killed:
            self.kills += 1
            self._recover()

    def _ask(self, trial_id: int, what: str) -> None:
        try:
            with self.database.transaction() as session:
                row, by = session.get_one(Trial, trial_id), person(session)
                getattr(commands, f"{what}_trial")(session, row, by)
        except NotPossible:
            pass

    def _extend(self) -> None:
        try:
            with self.database.transaction() as session:
                sweep = session.get_one(Experiment, self.experiment)
                lengthening.add_trials(session, sweep, 1, 100, 100)
            self.added += 1
        except NotPossible:
            pass


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("seed", range(4))
def test_it_works(catalog: Catalog, name: str, seed: int) -> None:
    with fresh_database("sqlite") as database:
        _live_through(database, catalog, name, seed)


def test_on_postgres(postgres_url: str, catalog: Catalog) -> None:
    database = Database(postgres_url)
    _live_through(database, catalog, "asha", 9)
    database.dispose()


def _live_through(database: Database, catalog: Catalog, name: str, seed: int) -> None:
    life, source = Wild(database, catalog, SWEEPS[name]), random.Random(seed)
    for _ in range(STEPS):
        life.step(source)
        life.check()
        assert life.agrees()
    life.cut = None
    for _ in range(3):
        life.ask_all("resume")
        life.go()
    rows = life.trials()
    assert {row.state for row in rows} <= set(TERMINAL), "a sweep that is over holds nothing back"
    made = sorted(row.point for row in rows if row.point is not None)
    assert made == list(range(SWEEPS[name]["strategy"]["trials"] + life.added))
    with database.snapshot() as session:
        assert list(left_undone(session)) == []
    assert life.agrees()
