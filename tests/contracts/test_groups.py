"""Which waiting trials come along with the one whose turn it is, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from db import claims, commands, owner
from db.engine import Database
from db.findings import CheckpointRecord, record_checkpoint
from db.groups import Sizes
from db.models import Trial
from labpool.catalog import Catalog
from tests.support.pool import TRAIN, person, slot, submitted

TTL_S = 90.0
SPACE: dict[str, Any] = {"learning_rate": [1e-3, 2e-3, 3e-3], "seed": [1, 2]}


def sweep(fuse: Any, space: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "kind": "sweep", "base": TRAIN, "strategy": {"method": "grid"}, "space": space or SPACE,
        "fuse": fuse,
    }  # fmt: skip


def key_of(session: Session, trial_id: int) -> str:
    key = session.get_one(Trial, trial_id).trace_key
    assert key is not None
    return key


def claimed(session: Session, here: claims.SlotIdentity, sizes: Sizes | None = None) -> list[int]:
    found = claims.claim(session, here, TTL_S, sizes or Sizes())
    return [] if found is None else [member.trial_id for member in found.trials]


def test_it_works(database: Database, catalog: Catalog) -> None:
    """As many as the sweep says, in their order; then what is left."""
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(4))
        assert claimed(session, here) == ids[:4]
        for trial_id in ids[:4]:
            owner.succeed(session, trial_id, 1, {}, {})
        assert claimed(session, here) == ids[4:]


@pytest.mark.parametrize(("fuse", "measured", "together"), [
    ("off", 4, 1), (None, 4, 1), ("auto", None, 1), ("auto", 1, 1), ("auto", 4, 4), (2, 4, 2),
])  # fmt: skip
def test_what_the_sweep_says_and_what_was_measured(
    database: Database, catalog: Catalog, fuse: Any, measured: int | None, together: int
) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(fuse))
        auto = {} if measured is None else {key_of(session, ids[0]): measured}
        assert claimed(session, here, Sizes(auto)) == ids[:together]


def test_what_cannot_be_trained_together(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(4))
        assert claimed(session, here, Sizes(unfit={key_of(session, ids[0])})) == ids[:1]


def test_strangers_stay_behind(database: Database, catalog: Catalog) -> None:
    """Another architecture, another sweep, what is held, and what is to run alone."""
    with database.transaction() as session:
        here, user = slot(session, catalog), person(session)
        space = {"seed": [1, 2, 3, 4], "parameters.hidden": [[8], [16]]}
        ids = submitted(session, catalog, user, sweep(8, space))
        submitted(session, catalog, user, sweep(8, space))
        narrow = ids[::2]
        commands.pause_trial(session, session.get_one(Trial, narrow[1]), user)
        session.get_one(Trial, narrow[2]).alone = True
        session.flush()
        assert claimed(session, here) == [narrow[0], narrow[3]]


def test_idle_slots_have_their_part(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here, there = slot(session, catalog), slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(8))
        assert claimed(session, here) == ids[:3]
        assert claimed(session, there) == ids[3:]


def test_only_those_at_one_epoch(database: Database, catalog: Catalog) -> None:
    """A group trains in step: who has a checkpoint goes on with those that have the same."""
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(8))
        assert claimed(session, here) == ids
        for trial_id, epoch in zip(ids, (1, None, 2, 1, 1, None), strict=True):
            if epoch is not None:
                row = CheckpointRecord(
                    epoch, f"{trial_id}/1/epoch-{epoch}.npz", "0" * 64, 1, 0.5, True
                )
                record_checkpoint(session, trial_id, 1, row)
            owner.release(session, trial_id, 1, "Its worker was shut down.")
        first = [ids[0], ids[3], ids[4]]
        assert claimed(session, here) == first
        for trial_id in first:
            owner.succeed(session, trial_id, 3, {}, {})
        assert claimed(session, here) == [ids[1], ids[5]]
