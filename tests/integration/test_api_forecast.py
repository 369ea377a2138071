"""What a submission would cost, when it would be done, and whom it would delay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.engine import Database
from db.models import Attempt, Experiment, Trial
from labpool.catalog import Catalog
from tests.support.api import GRID, TRAIN, Api, Person, claimed, make_api
from tests.support.pool import slot, step_clock
from tests.support.turns import end

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 9},
    "strategy": {"method": "random", "trials": 9},
    "space": {"learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"}},
}


def forecast(person: Person, spec: Any) -> dict[str, Any]:
    answer = person.send("POST", "/api/v1/specs/forecast", json.dumps(spec), "application/json")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found = answer.get_json()
    assert isinstance(found, dict)
    return found


def with_history(api: Api, epoch_s: float = 4.0) -> Any:
    """A slot, and one trial of 3 epochs that has ended on it."""
    with api.database.transaction() as session:
        here = slot(session, api.catalog)
    _, [trial_id] = api.submitted(TRAIN)
    claimed(api, here)
    step_clock(api.database, 3 * epoch_s)
    with api.database.transaction() as session:
        row = session.get_one(Trial, trial_id)
        row.progress_done, row.progress_total, row.progress_unit = 3.0, 3.0, "epoch"
        session.flush()
        end(session, trial_id)
        spent = session.query(Attempt).filter_by(trial_id=trial_id).one().slot_seconds
    assert spent == pytest.approx(3 * epoch_s, abs=1.0)
    return here


def test_it_works(api: Api) -> None:
    with_history(api)
    found = forecast(api.owner, SWEEP)
    assert found["trial_count"] == 9
    assert found["slot_seconds"] == pytest.approx(9 * 9 * 4, rel=0.1)
    assert found["finish_s"] == pytest.approx(9 * 9 * 4, rel=0.1)
    assert (found["able_slots"], found["devices"], found["lacking"]) == (1, ["cpu"], None)
    assert found["delays"] == []
    assert found["arithmetic"].startswith("9 × 3")
    assert found["arithmetic"].endswith("s, one trial of mlp).")
    with api.database.transaction() as session:
        assert session.query(Experiment).count() == 1


def test_without_a_history_it_says_so(quick_api: Api) -> None:
    found = forecast(quick_api.owner, GRID)
    assert (found["trial_count"], found["slot_seconds"], found["finish_s"]) == (4, None, None)
    assert found["arithmetic"] == "No estimate: no trial of lenet5 has ended well yet."
    assert found["lacking"] == "No worker is connected; start one with `labpool worker`."


def test_pruning_a_budget_and_what_is_not_laid_out_yet_are_counted(quick_api: Api) -> None:
    with_history(quick_api)
    whole = forecast(quick_api.owner, SWEEP)["slot_seconds"]
    strategy = {**SWEEP["strategy"], "pruner": {"method": "asha"}}
    pruned = forecast(quick_api.owner, {**SWEEP, "strategy": strategy})
    # 9 trials for 1 epoch, 3 for 2 more, 1 for 6 more, of 81.
    assert pruned["slot_seconds"] == pytest.approx(whole * 21 / 81)
    assert "pruning trains 26% of it" in pruned["arithmetic"]
    bounded = forecast(quick_api.owner, {**SWEEP, "budget_slot_seconds": 50})
    assert bounded["slot_seconds"] == 50.0 and "the budget ends it" in bounded["arithmetic"]
    learning = {**SWEEP, "strategy": {"method": "tpe", "trials": 300}}
    found = forecast(quick_api.owner, learning)
    assert found["trial_count"] == 300
    assert found["slot_seconds"] == pytest.approx(whole * 300 / 9)


def test_it_names_whom_it_delays(quick_api: Api) -> None:
    here = with_history(quick_api)
    quick_api.submitted(TRAIN)
    claimed(quick_api, here)
    for _ in range(8):
        quick_api.teammate.submit({**TRAIN, "epochs": 3})
    found = forecast(quick_api.owner, SWEEP)
    # The teammate is first until they have used as much; then both are in turn.
    assert [row["owner"] for row in found["delays"]] == ["teammate"]
    assert 1 <= found["delays"][0]["trials"] < 8
    assert found["delays"][0]["seconds"] == pytest.approx(72, abs=40)
    alone = forecast(quick_api.owner, {**SWEEP, "base": {**SWEEP["base"], "priority": "low"}})
    assert alone["delays"] == []


def test_where_results_are_private_others_have_no_names(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    api = make_api(database, catalog, tmp_path, private_results=True)
    here = with_history(api)
    api.submitted(TRAIN)
    claimed(api, here)
    for _ in range(8):
        api.teammate.submit(TRAIN)
    assert {row["owner"] for row in forecast(api.owner, SWEEP)["delays"]} == {"others"}
    database.dispose()


def test_a_bad_spec_is_refused_as_it_is_by_a_submission(quick_api: Api) -> None:
    answer = quick_api.owner.send(
        "POST",
        "/api/v1/specs/forecast",
        json.dumps({**SWEEP, "strategy": {"method": "tpe"}}),
        "application/json",
    )
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/strategy/trials"
