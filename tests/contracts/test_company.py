"""With whom a trial is trained together, and why by itself where it is not, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from db import claims, owner
from db.company import Company, company
from db.engine import Database
from db.groups import Sizes
from db.models import Attempt, Trial
from labpool.catalog import Catalog
from labpool.fusing import APART, CRASHED, UNFIT
from tests.contracts.test_groups import TTL_S, claimed, sweep
from tests.support.pool import TRAIN, person, slot, submitted


def told(session: Session, trial_id: int) -> Company:
    session.flush()
    found = company(session, session.get_one(Trial, trial_id))
    assert found is not None
    return found


def as_group(session: Session, trial_id: int, size: int) -> None:
    attempt = session.query(Attempt).filter_by(trial_id=trial_id).one()
    attempt.environment = {"trained_together": size}


def test_it_works(database: Database, catalog: Catalog) -> None:
    """Before, while and after it was trained with others."""
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(4))
        before = told(session, ids[0])
        assert before.trials == ()
        assert before.sentence == (
            "It starts together with what there is then of 5 trials like it that also wait, "
            "4 in a group at most."
        )
        assert claimed(session, here) == ids[:4]
        first = told(session, ids[0])
        assert first.trials == tuple(ids[1:4])
        named = f"{ids[1]}, {ids[2]} and {ids[3]}"
        assert first.sentence == f"It is trained together with trials {named}."
        for trial_id in ids[:4]:
            as_group(session, trial_id, 4)
        owner.succeed(session, ids[3], 1, {}, {})
        session.expire_all()
        assert told(session, ids[0]).trials == tuple(ids[1:3])
        assert told(session, ids[3]).trials == tuple(ids[:3])
        assert told(session, ids[3]).sentence.startswith("It was last trained together with trials")


@pytest.mark.parametrize("fuse", [None, "off"])
def test_where_nobody_asked_for_it(database: Database, catalog: Catalog, fuse: Any) -> None:
    with database.transaction() as session:
        ids = submitted(session, catalog, person(session), sweep(fuse))
        assert company(session, session.get_one(Trial, ids[0])) is None


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ({"engine": "fit"}, "engine: fit trains one trial at a time."),
        ({"init_from": f"3@{'0' * 64}"}, "it has init_from"),
    ],
)
def test_what_fits_no_group(
    database: Database, catalog: Catalog, base: dict[str, Any], said: str
) -> None:
    with database.transaction() as session:
        spec = {**sweep(4), "base": {**TRAIN, **base}}
        if "init_from" in base:
            ids = submitted(session, catalog, person(session), sweep(4))
            trial = session.get_one(Trial, ids[0])
            trial.fuse_key, trial.spec = None, {**trial.spec, **base}
        else:
            ids = submitted(session, catalog, person(session), spec)
        found = told(session, ids[0]).sentence
        assert found.startswith("It runs by itself: ") and said in found


def test_one_of_another_architecture(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        space = {"parameters.hidden": [[8], [16]]}
        ids = submitted(session, catalog, person(session), sweep(4, space))
        assert told(session, ids[0]).sentence == (
            "It runs by itself: no other trial of its sweep is of its architecture "
            "(parameters.hidden)."
        )


def test_a_crash_and_what_cannot_be_fused(database: Database, catalog: Catalog) -> None:
    """The reason of the group holds for all that were in it, and of a layer for all alike."""
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(3))
        assert claimed(session, here) == ids[:3]
        layer = f"{UNFIT}The layer 'odd' is a Odd, which has no form for several trials."
        crash = f"{CRASHED} Its runner died."
        owner.release(session, ids[0], 1, crash, alone=True)
        session.expire_all()
        assert told(session, ids[0]).sentence == CRASHED
        for trial_id in ids[1:3]:
            owner.release(session, trial_id, 1, layer, alone=True)
        session.expire_all()
        assert told(session, ids[1]).sentence == layer
        assert told(session, ids[5]).sentence == layer


def test_a_group_that_could_not_begin_says_nothing_of_others(
    database: Database, catalog: Catalog
) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(3))
        assert claimed(session, here) == ids[:3]
        reason = f"{APART}The trials stand at different epochs."
        for trial_id in ids[1:3]:
            owner.release(session, trial_id, 1, reason, alone=True)
        session.expire_all()
        assert [told(session, trial_id).sentence for trial_id in ids[:3]] == [reason] * 3
        assert told(session, ids[3]).sentence.startswith("It starts together with")


def test_auto_says_what_it_has_measured(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep("auto"))
        key = session.get_one(Trial, ids[0]).trace_key or ""
        assert "auto first measures" in told(session, ids[0]).sentence
        assert claimed(session, here) == ids[:1]
        owner.succeed(session, ids[0], 1, {"images_per_second": 100.0}, {})
        session.expire_all()
        assert told(session, ids[1]).sentence.startswith("It starts together with")
        assert len(claimed(session, here, Sizes({key: 4}))) == 4
        for trial_id in ids[1:5]:
            as_group(session, trial_id, 4)
            owner.succeed(session, trial_id, 1, {"images_per_second": 104.0}, {})
        session.expire_all()
        assert told(session, ids[5]).sentence == (
            "It runs by itself: groups of 4 were measured to train 1.04 × as fast, and below "
            "1.15 × they do not pay."
        )


def test_one_that_was_left_over(database: Database, catalog: Catalog) -> None:
    with database.transaction() as session:
        here = slot(session, catalog)
        ids = submitted(session, catalog, person(session), sweep(4, {"seed": [1, 2]}))
        assert claims.claim(session, here, TTL_S, Sizes(unfit={_key(session, ids[0])}))
        found = told(session, ids[0]).sentence
        assert found.startswith("It runs by itself. When it was claimed no other trial like it")


def _key(session: Session, trial_id: int) -> str:
    return session.get_one(Trial, trial_id).trace_key or ""
