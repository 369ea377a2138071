"""What training a sweep's trials together would save, told before it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from db.models import Attempt, Trial
from tests.integration.test_api_forecast import SWEEP, forecast, with_history
from tests.support.api import Api, claimed
from tests.support.pool import slot, step_clock
from tests.support.turns import end

pytest_plugins = ["tests.support.api_fixtures"]

FUSED: dict[str, Any] = {**SWEEP, "fuse": 4}


def trained(api: Api, here: Any, together: int | None, epoch_s: float) -> None:
    """One trial of a sweep like `FUSED` has ended, of a group of so many."""
    one = {**FUSED, "strategy": {"method": "random", "trials": 1}}
    _, [trial_id] = api.submitted(one)
    claimed(api, here)
    step_clock(api.database, 9 * epoch_s)
    with api.database.transaction() as session:
        row = session.get_one(Trial, trial_id)
        row.progress_done, row.progress_total, row.progress_unit = 9.0, 9.0, "epoch"
        attempt = session.query(Attempt).filter_by(trial_id=trial_id).one()
        attempt.environment = {"trained_together": together} if together else {}
        session.flush()
        end(session, trial_id)


def test_it_works(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        here = slot(session, quick_api.catalog)
    trained(quick_api, here, None, 4.0)
    trained(quick_api, here, 4, 1.0)
    found = forecast(quick_api.owner, FUSED)
    # 9 trials on one slot: two groups of 4, and one that is left over.
    told = found["together"]
    assert told["groups"] == {"4": 2}
    assert told["sentence"].startswith("2 groups of 4 and 1 trial alone.")
    assert told["saved_slot_seconds"] == pytest.approx(8 * 9 * 3, rel=0.1)
    assert "A member takes 9.0 s of a slot, alone 36 s: that saves" in told["sentence"]
    assert found["slot_seconds"] == pytest.approx(8 * 9 + 36, rel=0.1)
    assert found["finish_s"] == pytest.approx(8 * 9 + 36, rel=0.1)


def test_what_was_never_measured_is_unknown(quick_api: Api) -> None:
    with_history(quick_api)
    found = forecast(quick_api.owner, FUSED)["together"]
    assert found["groups"] == {"4": 2} and found["saved_slot_seconds"] is None
    assert "unknown yet" in found["sentence"]
    found = forecast(quick_api.owner, {**FUSED, "fuse": "auto"})["together"]
    assert found["groups"] == {} and found["saved_slot_seconds"] is None
    assert "not known yet: auto runs one trial alone, then tries 4, 8, 16" in found["sentence"]


def test_auto_takes_what_was_measured_to_pay(quick_api: Api) -> None:
    with quick_api.database.transaction() as session:
        here = slot(session, quick_api.catalog)
    for together, epoch_s in ((None, 4.0), (4, 2.0), (8, 1.9)):
        trained(quick_api, here, together, epoch_s)
    found = forecast(quick_api.owner, {**FUSED, "fuse": "auto"})
    assert found["together"]["groups"] == {"4": 2}
    assert found["together"]["saved_slot_seconds"] == pytest.approx(8 * 9 * 2, rel=0.1)


def test_idle_slots_have_their_part(quick_api: Api) -> None:
    with_history(quick_api)
    with quick_api.database.transaction() as session:
        for _ in range(2):
            slot(session, quick_api.catalog)
    found = forecast(quick_api.owner, {**FUSED, "fuse": 64})["together"]
    assert found["groups"] == {"3": 3}


def test_what_cannot_be_trained_together(quick_api: Api) -> None:
    with_history(quick_api)
    base = {**SWEEP["base"], "engine": "fit"}
    found = forecast(quick_api.owner, {**FUSED, "base": base})["together"]
    assert found["sentence"] == "Its trials cannot be trained together, so each runs alone."
    grid = {"method": "grid"}
    found = forecast(
        quick_api.owner, {**FUSED, "strategy": grid, "space": {"batch_size": [16, 32]}}
    )
    assert "No two of its trials are of one architecture" in found["together"]["sentence"]
    assert forecast(quick_api.owner, SWEEP)["together"] is None


@pytest.mark.parametrize(
    ("pruner", "least"),
    [
        # 9 trials for 1 epoch, 3 for 2 more, 1 for 6 more, of 81.
        ({"method": "asha"}, 21 / 81),
        # The first 5 to their ends, 4 for 2 epochs.
        ({"method": "median", "min_epochs": 2}, 53 / 81),
    ],
)
def test_pruning_has_a_range(quick_api: Api, pruner: dict[str, Any], least: float) -> None:
    with_history(quick_api)
    whole = forecast(quick_api.owner, SWEEP)
    assert whole["least_slot_seconds"] is whole["most_slot_seconds"] is None
    spec = {**SWEEP, "strategy": {**SWEEP["strategy"], "pruner": pruner}}
    found = forecast(quick_api.owner, json.loads(json.dumps(spec)))
    assert found["least_slot_seconds"] == pytest.approx(whole["slot_seconds"] * least)
    assert found["most_slot_seconds"] == pytest.approx(whole["slot_seconds"])
