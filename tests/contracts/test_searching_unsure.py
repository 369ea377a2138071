"""ASHA lets one go on without being sure, and better ones arrive before or after it is claimed."""

from __future__ import annotations

from typing import Literal

import pytest
from sqlalchemy.orm import Session

from db import claims, commands
from db.engine import Database
from labpool.catalog import Catalog
from tests.faults.searches import left_undone
from tests.support.pool import person, slot, trial
from tests.support.searched import ASHA, TTL_S, Life, surface


class SideBySide(Life):
    """Four slots take the four trials at once, so nothing of the sweep waits for a slot."""

    def begin(self) -> list[claims.Claim]:
        """The claims, of the worst trial first."""
        found = []
        for _ in range(4):
            with self.database.transaction() as session:
                here = slot(session, self.catalog)
                claim = claims.claim(session, here, TTL_S)
            assert claim is not None
            found.append(claim)
        return sorted(found, key=lambda one: surface(one.trials[0].spec["learning_rate"], 1))

    def arrive(self, claim: claims.Claim) -> None:
        """It trains to its rung."""
        self.carry_out(claim.lease_id, claim.trials[0])

    def rungs(self, order: list[claims.Claim]) -> list[tuple[str, int]]:
        """State and rung of each of these."""
        rows = {row.id: row for row in self.trials()}
        found = [rows[claim.trials[0].trial_id] for claim in order]
        return [(row.state.value, row.rung or 0) for row in found]


def _settled(life: SideBySide) -> None:
    life.check()
    with life.database.snapshot() as session:
        assert list(left_undone(session)) == []
    assert life.agrees()


@pytest.mark.parametrize("claimed_first", [False, True])
def test_it_works(database: Database, catalog: Catalog, claimed_first: bool) -> None:
    """The better of the two worst goes up; then both better ones do besides, none twice."""
    life = SideBySide(database, catalog, ASHA)
    order = life.begin()
    worst, unsure, good, best = order
    life.arrive(worst)
    life.arrive(unsure)
    assert life.rungs(order) == [("paused", 0), ("queued", 1), ("running", 0), ("running", 0)]
    early = life.claim() if claimed_first else None
    life.arrive(good)
    life.arrive(best)
    state = "running" if claimed_first else "queued"
    assert life.rungs(order) == [("paused", 0), (state, 1), ("queued", 1), ("queued", 1)]
    _settled(life)
    if early is not None:
        assert early.trials[0].trial_id == unsure.trials[0].trial_id
        life.arrive(early)
    life.go()
    assert life.rungs(order) == [("pruned", 0), ("pruned", 1), ("pruned", 1), ("succeeded", 2)]
    _settled(life)


@pytest.mark.parametrize("cut", range(1, 8))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_on_the_way_changes_nothing(
    catalog: Catalog, sqlite_url: str, cut: int, when: Literal["before", "after"]
) -> None:
    """Of the slot that goes on with what was let go and with what came after."""
    database = Database(sqlite_url)
    life = SideBySide(database, catalog, ASHA)
    order = life.begin()
    for claim in order:
        life.arrive(claim)
    life.writes, life.cut = 0, (cut, when)
    life.go()
    assert life.kills == 1
    assert life.rungs(order) == [("pruned", 0), ("pruned", 1), ("pruned", 1), ("succeeded", 2)]
    _settled(life)
    database.dispose()


def test_what_is_let_go_and_ends_makes_room_for_nobody(
    database: Database, catalog: Catalog
) -> None:
    """Cancelled as it waits: the rung that it was let go to keeps only those that came to it."""
    life = SideBySide(database, catalog, ASHA)
    order = life.begin()
    life.arrive(order[0])
    life.arrive(order[1])
    unsure = order[1].trials[0].trial_id

    def cancel(session: Session) -> None:
        commands.cancel_trial(session, trial(session, unsure), person(session))

    life.write(cancel)
    life.arrive(order[2])
    life.arrive(order[3])
    life.go()
    assert life.rungs(order)[3] == ("succeeded", 2)
    assert life.rungs(order)[1] == ("cancelled", 1)
    _settled(life)
