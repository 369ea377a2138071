"""A slot that has traced a network goes on with its like, within an experiment."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from db import claims, owner
from db.engine import Database
from db.errors import TracedElsewhere
from db.fairness import Rules
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, step_clock, submitted, trial

TTL_S = 90.0
SWEEP = {
    "kind": "sweep",
    "base": {**TRAIN, "model": "mlp", "dataset": "digits"},
    "strategy": {"method": "grid"},
    "space": {"parameters.hidden": [[8], [16]], "learning_rate": [0.1, 0.01]},
}


def claimed(session: Session, here: claims.SlotIdentity, *traced: str, **more: Any) -> int | None:
    """The trial that the slot gets, which ends at once."""
    found = claims.claim(session, here, TTL_S, traced=traced, **more)
    if found is None:
        return None
    [work] = found.trials
    owner.fail(session, work.trial_id, work.fence, "internal", "x")
    return work.trial_id


def key_of(session: Session, trial_id: int) -> str:
    found = trial(session, trial_id).trace_key
    assert found is not None
    return found


def test_what_is_traced_goes_first_within_its_experiment(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        narrow, slow, wide, slower = submitted(session, catalog, person(session), SWEEP)
        here = slot(session, catalog)
        # Two architectures, each with two rates.
        assert key_of(session, narrow) == key_of(session, slow)
        assert key_of(session, wide) == key_of(session, slower) != key_of(session, narrow)
        assert claimed(session, here, key_of(session, wide)) == wide
        assert claimed(session, here, key_of(session, wide)) == slower
        # Nothing of its kind is left: the others have their turn.
        assert claimed(session, here, key_of(session, wide)) == narrow
        assert claimed(session, here) == slow


def test_nobody_and_no_other_experiment_is_passed_over(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        [first] = submitted(session, catalog, ada)
        _, _, traced, _ = submitted(session, catalog, ada, SWEEP)
        [of_bob] = submitted(session, catalog, bob)
        here, other = slot(session, catalog), slot(session, catalog)
        key = key_of(session, traced)
        # Between equals the oldest trial decides, and it is of another experiment.
        running = claims.claim(session, other, TTL_S, traced=[key])
        assert running is not None and running.trials[0].trial_id == first
        # Ada holds a slot now.
        assert claimed(session, here, key) == of_bob
        assert claimed(session, here, key) == traced


def test_what_is_held_or_capped_or_cannot_be_served_stays(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        narrow, _, wide, slower = submitted(session, catalog, person(session), SWEEP)
        here = slot(session, catalog)
        key = key_of(session, wide)
        trial(session, wide).held = True
        trial(session, slower).device = "gpu"
        session.flush()
        assert claimed(session, here, key) == narrow
        assert claims.claim(session, here, TTL_S, traced=[key], rules=Rules(max_running=0)) is None


def test_age_goes_before_it(database: Database, catalog: Catalog) -> None:
    rules = Rules(ageing_s=60, ageing_turn=1)
    with database.transaction() as session:
        narrow, *_, traced = submitted(session, catalog, person(session), SWEEP)
        here = slot(session, catalog)
        key = key_of(session, traced)
    step_clock(database, 120)
    with database.transaction() as session:
        assert claimed(session, here, key, rules=rules) == narrow


def test_what_another_slot_has_traced_is_left_to_it(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        narrow, slow, wide, slower = submitted(session, catalog, person(session), SWEEP)
        here, other = slot(session, catalog), slot(session, catalog)
        of_narrow, of_wide = key_of(session, narrow), key_of(session, wide)
    with pytest.raises(TracedElsewhere) as left, database.transaction() as session:
        claims.claim(session, here, TTL_S, elsewhere=[of_narrow])
    assert left.value.detail == of_narrow
    with database.transaction() as session:
        # Nothing was taken, and who has the trace gets that very trial.
        assert claimed(session, other, of_narrow, elsewhere=[of_wide]) == narrow
        # What both have is nobody's alone; what is not next says nothing of what is.
        assert claimed(session, here, of_narrow, elsewhere=[of_narrow, of_wide]) == slow
        assert claimed(session, here, elsewhere=[of_narrow]) == wide
        assert claimed(session, here) == slower
        assert claimed(session, here, elsewhere=[of_narrow]) is None


def test_what_is_next_by_age_is_left_to_nobody(database: Database, catalog: Catalog) -> None:
    rules = Rules(ageing_s=60, ageing_turn=1)
    with database.transaction() as session:
        ada, bob = person(session), person(session, "bob")
        [old] = submitted(session, catalog, ada)
        trial(session, old).priority = -1
        session.flush()
        here = slot(session, catalog)
        key = key_of(session, old)
    step_clock(database, 120)
    with database.transaction() as session:
        [urgent] = submitted(session, catalog, bob)
        trial(session, urgent).priority = 1
        session.flush()
        assert claimed(session, here, rules=rules, elsewhere=[key]) == old
        assert trial(session, urgent).state == "queued"
