"""Why a trial waits, its priority, and users' shares and caps, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from db.engine import Database
from labpool.catalog import Catalog
from tests.support.api import GRID, TRAIN, Api, Person, claimed, make_api, problem_of
from tests.support.pool import slot, trial

pytest_plugins = ["tests.support.api_fixtures"]


def patch(person: Person, path: str, body: Any) -> TestResponse:
    return person.send("PATCH", path, json.dumps(body), "application/json")


def why(person: Person, trial_id: int) -> dict[str, Any]:
    found = person.get(f"/api/v1/trials/{trial_id}/why").get_json()
    assert isinstance(found, dict)
    return found


def test_it_works(api: Api) -> None:
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    ids = [api.submitted()[1][0] for _ in range(3)]
    api.teammate.submit(TRAIN)
    claimed(api, taker)
    found = why(api.owner, ids[2])
    assert found["state"] == "queued"
    assert found["reason"] == "turn"
    assert (found["ahead"], found["place"]) == (2, 3)
    assert found["ahead_of"] == [
        {"owner": "teammate", "count": 1},
        {"owner": "owner", "count": 1},
    ]
    assert (found["able_slots"], found["free_slots"]) == (1, 0)
    assert found["owner"]["owner"] == "owner"
    assert (found["owner"]["running"], found["owner"]["share"]) == (1, 1.0)
    assert found["next"]["owner"] == "teammate"
    assert found["next"]["running"] == 0
    assert found["estimate_s"] is None
    assert "has ended well yet" in found["arithmetic"]
    detail = api.owner.get(f"/api/v1/trials/{ids[2]}").get_json()
    assert detail["waiting"] == found["sentence"]
    assert why(api.owner, ids[0])["reason"] == "running"
    problem_of(api.owner.get("/api/v1/trials/999/why"), 404)


def test_where_results_are_private_others_have_no_names(
    database: Database, catalog: Catalog, tmp_path: Path
) -> None:
    api = make_api(database, catalog, tmp_path, private_results=True)
    with api.database.transaction() as session:
        slot(session, api.catalog)
    api.teammate.submit(TRAIN)
    _, [mine] = api.submitted()
    api.admin.submit(TRAIN)
    found = why(api.owner, mine)
    assert found["next"]["owner"] == "others"
    assert found["ahead_of"] == [{"owner": "others", "count": 1}]
    assert "teammate" not in api.owner.get(f"/api/v1/trials/{mine}/why").text
    assert why(api.admin, mine)["next"]["owner"] == "teammate"
    problem_of(api.teammate.get(f"/api/v1/trials/{mine}/why"), 404)


def test_a_priority_changes_the_order(api: Api) -> None:
    with api.database.transaction() as session:
        slot(session, api.catalog)
    _, [first] = api.submitted()
    _, [second] = api.submitted()
    path = f"/api/v1/trials/{first}"
    changed = patch(api.owner, path, {"priority": "low"}).get_json()
    assert (changed["priority"], changed["ahead"]) == ("low", 1)
    assert why(api.owner, second)["ahead"] == 0
    problem_of(patch(api.owner, path, {"priority": "high"}), 403)
    problem_of(patch(api.teammate, path, {"priority": "low"}), 403)
    problem_of(patch(api.owner, path, {"priority": "urgent"}), 422)
    assert patch(api.admin, path, {"priority": "high"}).get_json()["ahead"] == 0
    events = api.owner.get(f"{path}/events").get_json()["events"]
    assert [event["data"] for event in events if event["kind"] == "prioritised"] == [
        {"priority": "low"},
        {"priority": "high"},
    ]
    running = claimed(api)
    assert running.trial_id == first
    problem_of(patch(api.owner, path, {"priority": "normal"}), 409)


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({**TRAIN, "priority": "high"}, "/priority"),
        ({**GRID, "base": {**GRID["base"], "priority": "high"}}, "/base/priority"),
    ],
)
def test_a_spec_says_its_priority_and_high_is_for_admins(
    api: Api, spec: dict[str, Any], pointer: str
) -> None:
    problem = problem_of(api.owner.submit(spec), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert "administrators" in problem["errors"][0]["detail"]
    checked = api.owner.post("/api/v1/specs/validate", spec)
    problem_of(checked, 422)
    answer = api.admin.submit(spec)
    assert answer.status_code == 201
    low = api.owner.submit({**TRAIN, "priority": "low"}).get_json()
    plain = api.owner.submit(TRAIN).get_json()
    with api.database.transaction() as session:
        found = [
            trial(session, made["trials"][0]["id"]) for made in (answer.get_json(), low, plain)
        ]
        assert [row.priority for row in found] == [1, -1, 0]
        assert found[1].configuration_digest == found[2].configuration_digest


def test_a_sweep_cannot_vary_it(api: Api) -> None:
    spec = {**GRID, "space": {"priority": ["low", "normal"]}}
    problem_of(api.admin.submit(spec), 422)


def test_a_member_who_runs_a_high_trial_again_gets_a_normal_one(api: Api) -> None:
    _, [first] = api.submitted()
    patch(api.admin, f"/api/v1/trials/{first}", {"priority": "high"})
    api.owner.post(f"/api/v1/trials/{first}/cancel")
    again = api.owner.post(f"/api/v1/trials/{first}/retry").get_json()["trial_id"]
    assert why(api.owner, again)["priority"] == "normal"
    again = api.admin.post(f"/api/v1/trials/{first}/retry").get_json()["trial_id"]
    assert why(api.owner, again)["priority"] == "high"


def test_shares_and_caps_are_admins_to_set(api: Api) -> None:
    path = "/api/v1/users/owner"
    changed = patch(api.admin, path, {"share": 2, "max_running": 4}).get_json()
    assert (changed["share"], changed["max_running"]) == (2.0, 4)
    assert changed["disabled_at"] is None
    changed = patch(api.admin, path, {"max_running": "default"}).get_json()
    assert (changed["share"], changed["max_running"]) == (2.0, None)
    for wrong in ({"share": 0}, {"share": -1}, {"max_running": 0}, {"max_running": True}):
        problem_of(patch(api.admin, path, wrong), 422)
    problem_of(patch(api.owner, path, {"share": 9}), 403)
    problem_of(patch(api.admin, "/api/v1/users/nobody", {"share": 2}), 404)
    assert api.owner.get("/api/v1/users/me").get_json()["share"] == 2.0
