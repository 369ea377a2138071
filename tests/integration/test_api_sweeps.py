"""A sweep at a glance: rungs, best so far, importance, cost, groups; on the real database."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import update

from db import claims
from db.models import Trial
from tests.support.api import GRID, TRAIN, Api, claimed, epochs, failed, problem_of, succeeded
from tests.support.bulk import statements
from tests.support.large_sweep import METRIC, large_sweep
from tests.support.pool import slot, step_clock
from tests.support.searched import ASHA, Life, surface

pytest_plugins = ["tests.support.api_fixtures"]

RANDOM = {
    **GRID,
    "strategy": {"method": "random", "trials": 20, "seed": 1},
    "space": {
        "learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
        "batch_size": [16, 32],
    },
}


def shown(api: Api, experiment_id: int, who: str = "owner") -> dict[str, Any]:
    answer = api.people[who].get(f"/api/v1/experiments/{experiment_id}/sweep")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.get_json()
    return body


def counts(rung: dict[str, Any]) -> dict[str, int]:
    places = ("to_come", "waiting", "running", "paused", "promoted", "pruned", "done", "failed")
    return {place: rung[place] for place in places if rung[place]}


def life_of(api: Api, **more: Any) -> Life:
    strategy = {**ASHA["strategy"], "trials": 8}
    return Life(api.database, api.catalog, {**ASHA, "strategy": strategy, **more}, name="owner")


def test_it_works(api: Api) -> None:
    life = life_of(api)
    body = shown(api, life.experiment)
    assert body["objective"] == {"metric": METRIC, "direction": "maximize"}
    assert body["parameters"] == ["learning_rate"]
    assert (body["planned"], body["halt"], len(body["trials"])) == (8, None, 8)
    assert [(one["epochs"], counts(one)) for one in body["rungs"]] == [
        (1, {"waiting": 8}),
        (2, {}),
        (4, {}),
    ]
    assert (body["rungs"][0]["members"], body["rungs"][0]["places"]) == (8, 4)
    assert body["best_so_far"] == []

    life.go()
    body = shown(api, life.experiment)
    ends = {trial["id"]: trial for trial in body["trials"]}
    for rung in body["rungs"]:
        assert sum(counts(rung).values()) == sum(
            (trial["rung"] or 0) >= rung["number"] for trial in ends.values()
        )
    first, _, top = body["rungs"]
    assert sum(counts(first).values()) == 8
    assert top["is_top"] and counts(top)["done"] >= 1
    best = ends[top["best_trial"]]
    assert top["best"] == best["value"] == surface(best["varied"]["learning_rate"], 4)
    assert body["best_so_far"][-1]["value"] == max(trial["value"] for trial in ends.values())
    assert body["cost"]["to_come"] == 0.0


def test_the_best_so_far_only_gets_better_and_never_goes_back(api: Api) -> None:
    life = life_of(api)
    for _ in range(6):
        step_clock(api.database, 30.0)
        life.one()
    steps = shown(api, life.experiment)["best_so_far"]
    assert len(steps) > 1
    for before, after in pairwise(steps):
        assert after["value"] > before["value"]
        assert after["at_s"] >= before["at_s"]
        assert after["slot_seconds"] >= before["slot_seconds"]


def test_less_is_better_where_the_metric_says_so(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted({**RANDOM, "objective": {"metric": "val_loss"}})
    with quick_api.database.transaction() as session:
        taker = slot(session, quick_api.catalog)
    for value in (0.5, 0.7, 0.3):
        succeeded(quick_api, claimed(quick_api, taker), val_loss=value)
    body = shown(quick_api, experiment_id)
    assert body["objective"] == {"metric": "val_loss", "direction": "minimize"}
    assert [step["value"] for step in body["best_so_far"]] == [0.5, 0.3]


def test_importance_is_refused_below_its_least_and_told_above(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted(RANDOM)
    with quick_api.database.transaction() as session:
        taker = slot(session, quick_api.catalog)
    for _ in range(11):
        trial = claimed(quick_api, taker)
        succeeded(quick_api, trial, surface(trial.spec["learning_rate"], 4))
    weights = shown(quick_api, experiment_id)["importance"]
    assert weights["parameters"] == []
    assert weights["lacking"] == "Told from 12 trials on that have a value; 11 of 20 do."
    for _ in range(9):
        trial = claimed(quick_api, taker)
        succeeded(quick_api, trial, surface(trial.spec["learning_rate"], 4))
    weights = shown(quick_api, experiment_id)["importance"]
    assert (weights["trials"], weights["lacking"], weights["epochs"]) == (20, "", None)
    first, second = weights["parameters"]
    assert first["name"] == "learning_rate"
    assert first["share"] > 0.3 > second["share"]
    assert "epsilon squared" in weights["method"]


def test_what_is_to_come_is_told_by_the_dry_run_then_by_its_own_pace(api: Api) -> None:
    experiment_id, _ = api.submitted(GRID)
    cost = shown(api, experiment_id)["cost"]
    assert (cost["used"], cost["to_come"]) == (0.0, None)
    assert cost["arithmetic"] == "No estimate: no trial of lenet5 has ended well yet."
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for number in range(3):
        trial = claimed(api, taker)
        step_clock(api.database, 8.0)
        epochs(api, trial, range(1, 5), total=4)
        succeeded(api, trial)
        cost = shown(api, experiment_id)["cost"]
        assert cost["used"] == pytest.approx(8.0 * (number + 1), abs=1.0)
        assert cost["to_come"] == pytest.approx(8.0 * (3 - number), abs=2.0)
        own = "what the 3 trials so far took" in cost["arithmetic"]
        assert own == (number == 2), cost["arithmetic"]
    again, _ = api.submitted(GRID)
    cost = shown(api, again)["cost"]
    dry = api.owner.post("/api/v1/specs/forecast", GRID).get_json()
    assert cost["to_come"] == pytest.approx(dry["slot_seconds"], rel=0.01)
    assert "median of the last 3 trials of lenet5" in cost["arithmetic"]
    spent, _ = api.submitted({**GRID, "budget_slot_seconds": 4.0})
    assert shown(api, spent)["cost"]["to_come"] == 4.0, "no more than its budget"
    api.owner.post(f"/api/v1/experiments/{again}/stop")
    assert shown(api, again)["cost"]["to_come"] == 0.0


def test_trials_of_one_lease_are_a_group(api: Api) -> None:
    space = {"learning_rate": [0.1, 0.03, 0.01, 0.003]}
    experiment_id, ids = api.submitted({**GRID, "space": space})
    with api.database.transaction() as session:
        session.execute(update(Trial).where(Trial.id.in_(ids)).values(fuse_key="f" * 64))
    with api.database.transaction() as session:
        claim = claims.claim(session, slot(session, api.catalog), 90.0, 3)
        assert claim is not None
    step_clock(api.database, 60.0)
    body = shown(api, experiment_id)
    [group] = body["groups"]
    assert group["trial_ids"] == sorted(trial.trial_id for trial in claim.trials) == ids[:3]
    assert (group["ended_at"], body["group_count"]) == (None, 1)
    assert group["slot_seconds"] == pytest.approx(60.0, abs=2.0), "of the slot, not of each"
    assert body["cost"]["used"] == pytest.approx(60.0, abs=2.0)


def test_a_failed_trial_is_told_and_judges_nothing(quick_api: Api) -> None:
    life = life_of(quick_api)
    found = life.claim()
    failed(quick_api, found.trials[0], "It took all memory.")
    life.go()
    body = shown(quick_api, life.experiment)
    assert sum(rung["failed"] for rung in body["rungs"]) == 1
    [bad] = [trial for trial in body["trials"] if trial["state"] == "failed"]
    assert bad["value"] is None
    assert bad["id"] not in [step["trial_id"] for step in body["best_so_far"]]


def test_what_is_no_sweep_says_so(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted(TRAIN)
    body = problem_of(quick_api.owner.get(f"/api/v1/experiments/{experiment_id}/sweep"), 409)
    assert body["detail"] == f"Experiment {experiment_id} is no sweep: it is a train."
    problem_of(quick_api.owner.get("/api/v1/experiments/999/sweep"), 404)


def test_a_private_sweep_is_not_found_by_others(private_api: Api) -> None:
    experiment_id, _ = private_api.submitted(GRID)
    path = f"/api/v1/experiments/{experiment_id}/sweep"
    problem_of(private_api.teammate.get(path), 404)
    assert shown(private_api, experiment_id, "admin")["planned"] == 4


def test_a_thousand_trials_take_no_more_statements(quick_api: Api) -> None:
    seen_by: dict[int, int] = {}
    for trials in (30, 1000):
        experiment_id = large_sweep(quick_api, trials)
        shown(quick_api, experiment_id)
        with statements(quick_api.database) as seen:
            body = shown(quick_api, experiment_id)
        seen_by[trials] = len(seen)
        assert len(body["trials"]) == trials
    assert seen_by[1000] == seen_by[30] <= 16, seen_by
    assert {one["name"]: round(one["share"], 1) for one in body["importance"]["parameters"]}[
        "learning_rate"
    ] > 0.5
    assert (body["group_count"], len(body["groups"])) == (450, 20)
