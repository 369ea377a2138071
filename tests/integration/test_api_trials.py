"""Trials: list, show, cancel, retry, events."""

from __future__ import annotations

import pytest

from tests.support.api import GRID, TRAIN, Api, claimed, epochs, failed, problem_of, succeeded

pytest_plugins = ["tests.support.api_fixtures"]
PATH = "/api/v1/trials"


def test_it_works(api: Api) -> None:
    _, [trial_id] = api.submitted()
    waiting = api.owner.get(f"{PATH}/{trial_id}").get_json()
    assert waiting["state"] == "queued"
    assert waiting["waiting"] == "No worker is connected; start one with `labpool worker`."
    assert waiting["model"] == "mlp"
    assert waiting["dataset"] == "digits"
    assert waiting["progress"] is None
    assert waiting["spec"]["optimizer"] == "adam"

    trial = claimed(api)
    epochs(api, trial, range(1, 3), total=3)
    running = api.owner.get(f"{PATH}/{trial_id}").get_json()
    assert running["state"] == "running"
    assert running["waiting"] is None
    assert running["progress"] == {"done": 2.0, "total": 3.0, "unit": "epoch"}
    assert running["attempts"][0]["fence"] == trial.fence
    assert running["attempts"][0]["environment"]["device_name"] == "Test CPU"
    assert running["trained_together"] is None

    succeeded(api, trial, 0.97)
    done = api.owner.get(f"{PATH}/{trial_id}").get_json()
    assert done["state"] == "succeeded"
    assert done["metrics"]["test_accuracy"] == 0.97
    assert done["ran_on"] == "cpu"
    assert done["finished_at"] >= done["started_at"] >= done["created_at"]
    assert done["attempts"][0]["outcome"] == "succeeded"


def test_members_read_and_only_owner_and_admin_change(api: Api) -> None:
    _, [trial_id] = api.submitted()
    path = f"{PATH}/{trial_id}"

    assert api.teammate.get(path).status_code == 200
    problem_of(api.anonymous.get(path), 401)
    problem_of(api.teammate.post(f"{path}/cancel"), 403)
    problem_of(api.anonymous.post(f"{path}/cancel"), 401)
    assert api.owner.get(path).get_json()["state"] == "queued"
    rings = api.bell.rings
    assert api.admin.post(f"{path}/cancel").get_json()["state"] == "cancelled"
    assert api.bell.rings == rings + 1
    problem_of(api.teammate.post(f"{path}/retry"), 403)
    again = api.owner.post(f"{path}/retry")
    assert again.status_code == 201
    body = again.get_json()
    assert again.headers["Location"] == body["url"]
    assert api.bell.rings == rings + 2
    new = api.owner.get(body["url"]).get_json()
    assert new["state"] == "queued"
    assert new["parent_id"] == trial_id
    assert new["owner"] == "owner"
    assert api.owner.get(path).get_json()["state"] == "cancelled"


def test_a_running_trial_is_told_to_stop(api: Api) -> None:
    api.submitted()
    trial = claimed(api)
    body = api.owner.post(f"{PATH}/{trial.trial_id}/cancel").get_json()

    assert body["state"] == "running"
    assert body["cancel_requested"] is True
    assert api.owner.post(f"{PATH}/{trial.trial_id}/cancel").status_code == 200


def test_what_has_ended_is_not_cancelled_and_what_has_not_is_not_retried(api: Api) -> None:
    api.submitted()
    trial = claimed(api)
    path = f"{PATH}/{trial.trial_id}"
    problem_of(api.owner.post(f"{path}/retry"), 409)
    succeeded(api, trial)

    problem_of(api.owner.post(f"{path}/cancel"), 409)
    assert api.owner.get(path).get_json()["state"] == "succeeded"


def test_a_body_where_none_is_wanted_is_refused(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted()

    problem_of(quick_api.owner.post(f"{PATH}/{trial_id}/cancel", {"force": True}), 400)
    assert quick_api.owner.post(f"{PATH}/{trial_id}/cancel", {}).status_code == 200


def test_a_failed_trial_says_why(api: Api) -> None:
    api.submitted()
    trial = claimed(api)
    failed(api, trial, "It took all memory.", "last words")
    body = api.owner.get(f"{PATH}/{trial.trial_id}").get_json()

    assert body["state"] == "failed"
    assert body["reason_kind"] == "crashed"
    assert body["reason"] == "It took all memory."


def test_the_list_pages_and_filters(api: Api) -> None:
    experiment_id, swept = api.submitted(GRID)
    _, [single] = api.submitted({**TRAIN, "seed": 5})

    def ids(query: str) -> list[int]:
        return [row["id"] for row in api.owner.get(f"{PATH}?{query}").get_json()["trials"]]

    assert ids("limit=200") == [single, *reversed(swept)]
    assert ids(f"experiment={experiment_id}") == swept
    assert ids("model=lenet5&state=queued") == swept[::-1]
    assert ids("kind=benchmark") == []
    assert ids("owner=owner&dataset=digits&limit=1") == [single]
    assert ids(f"experiment={experiment_id}&state=running") == []

    first = api.owner.get(f"{PATH}?experiment={experiment_id}&limit=3").get_json()
    second = api.owner.get(first["next"]).get_json()
    assert [row["id"] for row in first["trials"] + second["trials"]] == swept
    assert second["next"] is None


def test_bad_parameters_are_named(quick_api: Api) -> None:
    problem = problem_of(quick_api.owner.get(f"{PATH}?state=none&experiment=x"), 422)

    assert {error["parameter"] for error in problem["errors"]} == {"state", "experiment"}
    problem_of(quick_api.owner.get(f"{PATH}?experiment=77"), 404)


def test_events_tell_the_story(api: Api) -> None:
    api.submitted()
    trial = claimed(api)
    succeeded(api, trial)
    path = f"{PATH}/{trial.trial_id}/events"
    body = api.owner.get(path).get_json()

    assert [event["to_state"] for event in body["events"]] == ["queued", "running", "succeeded"]
    assert body["events"][0]["actor"] == "user owner"
    later = api.owner.get(f"{path}?since={body['cursor']}").get_json()
    assert later == {"events": [], "cursor": body["cursor"]}
    first = api.owner.get(f"{path}?limit=1").get_json()
    assert len(first["events"]) == 1
    rest = api.owner.get(f"{path}?since={first['cursor']}").get_json()["events"]
    assert first["events"] + rest == body["events"]
    problem_of(api.owner.get(f"{path}?since=yesterday"), 422)


@pytest.mark.parametrize(
    "tail", ["", "/events", "/metrics", "/log", "/checkpoints", "/artifacts", "/checkpoints/1"]
)
def test_private_trials_are_not_found_by_others(private_api: Api, tail: str) -> None:
    _, [trial_id] = private_api.submitted()

    problem_of(private_api.teammate.get(f"{PATH}/{trial_id}{tail}"), 404)
    problem_of(private_api.anonymous.get(f"{PATH}/{trial_id}{tail}"), 401)
    if tail != "/checkpoints/1":
        assert private_api.owner.get(f"{PATH}/{trial_id}{tail}").status_code == 200
        assert private_api.admin.get(f"{PATH}/{trial_id}{tail}").status_code == 200


def test_private_trials_are_not_listed_or_changed_by_others(private_api: Api) -> None:
    _, [trial_id] = private_api.submitted()

    assert private_api.teammate.get(PATH).get_json()["trials"] == []
    problem_of(private_api.teammate.post(f"{PATH}/{trial_id}/cancel"), 404)
    problem_of(private_api.teammate.post(f"{PATH}/{trial_id}/retry"), 404)
