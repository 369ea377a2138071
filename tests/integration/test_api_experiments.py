"""POST and GET /api/v1/experiments."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml
from sqlalchemy import update

from db.models import Trial
from tests.support.api import BENCHMARK, GRID, TRAIN, Api, claimed, problem_of, succeeded

pytest_plugins = ["tests.support.api_fixtures"]
PATH = "/api/v1/experiments"


def test_it_works(api: Api) -> None:
    answer = api.owner.submit({**TRAIN, "name": "first", "tags": ["try"], "notes": "why not"})

    assert answer.status_code == 201
    body = answer.get_json()
    experiment = body["experiment"]
    assert answer.headers["Location"] == experiment["url"] == f"{PATH}/{experiment['id']}"
    assert experiment["page_url"] == f"/experiments/{experiment['id']}"
    assert experiment["name"] == "first"
    assert experiment["owner"] == "owner"
    assert experiment["states"] == {"queued": 1}
    assert experiment["finished"] is False
    [trial] = body["trials"]
    assert trial["url"] == f"/api/v1/trials/{trial['id']}"
    assert api.bell.rings == 1

    again = api.owner.get(experiment["url"])
    assert again.get_json() == experiment


@pytest.mark.parametrize(
    "media_type",
    ["application/yaml", "text/yaml", "application/x-yaml", "application/yaml; charset=utf-8"],
)
def test_yaml_is_read_as_well(quick_api: Api, media_type: str) -> None:
    text = yaml.safe_dump({**TRAIN, "learning_rate": 1e-3}).replace("0.001", "1e-3")
    answer = quick_api.owner.send("POST", PATH, text, media_type)

    assert answer.status_code == 201
    assert answer.get_json()["experiment"]["spec"]["learning_rate"] == 0.001


@pytest.mark.parametrize(("spec", "count"), [(GRID, 4), (BENCHMARK, 1)])
def test_every_kind_is_laid_out(api: Api, spec: dict[str, Any], count: int) -> None:
    experiment_id, trial_ids = api.submitted(spec)

    assert len(trial_ids) == count
    listed = api.owner.get(f"/api/v1/trials?experiment={experiment_id}").get_json()["trials"]
    assert [trial["id"] for trial in listed] == trial_ids
    assert [trial["number"] for trial in listed] == list(range(count))


def test_the_same_key_and_body_give_the_first_answer_again(api: Api) -> None:
    first = api.owner.submit(GRID, Idempotency_Key="one")
    second = api.owner.submit(GRID, Idempotency_Key="one")

    assert first.status_code == 201
    assert "Idempotency-Replayed" not in first.headers
    assert second.status_code == 200
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.headers["Location"] == first.headers["Location"]
    assert second.get_json() == first.get_json()
    assert api.stored() == {"experiments": 1, "trials": 4, "idempotency_keys": 1}


def test_a_body_is_the_same_by_its_meaning_not_its_bytes(quick_api: Api) -> None:
    quick_api.owner.submit(TRAIN, Idempotency_Key="one")
    spaced = json.dumps(dict(reversed(TRAIN.items())), indent=4)
    answer = quick_api.owner.send("POST", PATH, spaced, "application/json", Idempotency_Key="one")

    assert answer.status_code == 200


def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    api.owner.submit(TRAIN, Idempotency_Key="one")
    answer = api.owner.submit({**TRAIN, "epochs": 4}, Idempotency_Key="one")

    assert problem_of(answer, 422)["type"].endswith("idempotency-conflict")
    assert api.stored()["experiments"] == 1


def test_one_key_sent_twice_at_once_makes_one_experiment(api: Api) -> None:
    with ThreadPoolExecutor(4) as threads:
        answers = list(
            threads.map(lambda _: api.owner.submit(GRID, Idempotency_Key="race"), range(4))
        )

    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert api.stored() == {"experiments": 1, "trials": 4, "idempotency_keys": 1}


def test_many_submit_at_once(api: Api) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: api.owner.submit(), range(12)))

    assert {answer.status_code for answer in answers} == {201}
    assert api.stored()["trials"] == 12


def test_a_key_belongs_to_its_user(quick_api: Api) -> None:
    quick_api.owner.submit(TRAIN, Idempotency_Key="one")

    assert quick_api.teammate.submit(GRID, Idempotency_Key="one").status_code == 201


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "schl\u00fcssel"])
def test_a_key_that_is_none_is_refused(quick_api: Api, key: str) -> None:
    problem_of(quick_api.owner.submit(TRAIN, Idempotency_Key=key), 400)
    assert quick_api.stored()["experiments"] == 0


def test_a_full_queue_says_so(sqlite_url: str, catalog: Any, tmp_path: Any) -> None:
    from db.engine import Database
    from tests.support.api import make_api

    api = make_api(Database(sqlite_url), catalog, tmp_path, max_queued_per_user=3)
    answer = api.owner.submit(GRID)

    assert problem_of(answer, 429)["type"].endswith("queue-full")
    assert answer.headers["Retry-After"]
    assert api.stored() == {"experiments": 0, "trials": 0, "idempotency_keys": 0}
    api.database.dispose()


def test_a_sweep_beyond_the_limit_is_refused(sqlite_url: str, catalog: Any, tmp_path: Any) -> None:
    from db.engine import Database
    from tests.support.api import make_api

    api = make_api(Database(sqlite_url), catalog, tmp_path, max_trials_per_sweep=3)
    problem = problem_of(api.owner.submit(GRID), 422)

    assert problem["errors"][0]["pointer"].startswith("/space")
    api.database.dispose()


def test_only_signed_in_people_submit(api: Api) -> None:
    answer = api.anonymous.submit(TRAIN)

    problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="labpool"'
    assert api.stored()["experiments"] == 0
    assert api.bell.rings == 0


def test_the_list_pages_by_cursor(api: Api) -> None:
    made = [api.submitted()[0] for _ in range(5)]
    seen: list[int] = []
    path: str | None = f"{PATH}?limit=2"
    pages = 0
    while path:
        answer = api.owner.get(path)
        body = answer.get_json()
        seen += [row["id"] for row in body["experiments"]]
        if body["next"]:
            assert answer.headers["Link"] == f'<{body["next"]}>; rel="next"'
        else:
            assert "Link" not in answer.headers
        path = body["next"]
        pages += 1
    assert seen == made[::-1]
    assert pages == 3


def test_the_list_is_filtered(api: Api) -> None:
    train, _ = api.submitted()
    sweep, _ = api.submitted(GRID)
    benchmark, _ = api.submitted(BENCHMARK)
    theirs = api.teammate.submit(TRAIN).get_json()["experiment"]["id"]
    with api.database.transaction() as session:
        session.execute(
            update(Trial)
            .where(Trial.experiment_id == train)
            .values(state="cancelled")
            .execution_options(synchronize_session=False)
        )

    def found(query: str) -> set[int]:
        return {row["id"] for row in api.owner.get(f"{PATH}?{query}").get_json()["experiments"]}

    assert found("owner=teammate") == {theirs}
    assert found("kind=sweep") == {sweep}
    assert found("model=dense_relu") == {benchmark}
    assert found("model=mlp") == {train, theirs}
    assert found("dataset=digits") == {train, sweep, theirs}
    assert found("state=cancelled") == {train}
    assert found("state=queued&model=mlp") == {theirs}
    assert found("owner=nobody") == set()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1000000", "limit"),
        ("limit=many", "limit"),
        ("kind=party", "kind"),
        ("state=happy", "state"),
        ("colour=red", "colour"),
        ("cursor=%00", "cursor"),
        ("cursor=bm90IGpzb24", "cursor"),
        ("cursor=W10", "cursor"),
        ("cursor=WyJhIl0", "cursor"),
        ("cursor=WzFlMzAwXQ", "cursor"),
        ("cursor=" + "A" * 600, "cursor"),
    ],
)
def test_bad_parameters_are_named(quick_api: Api, query: str, parameter: str) -> None:
    problem = problem_of(quick_api.owner.get(f"{PATH}?{query}"), 422)
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


def test_an_unchanged_answer_is_not_sent_again(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted()
    first = quick_api.owner.get(f"{PATH}/{experiment_id}")
    again = quick_api.owner.get(f"{PATH}/{experiment_id}", {"If-None-Match": first.headers["ETag"]})

    assert again.status_code == 304
    assert again.data == b""


def test_owner_and_admin_cancel_and_others_do_not(api: Api) -> None:
    experiment_id, _ = api.submitted(GRID)
    path = f"{PATH}/{experiment_id}/cancel"

    problem_of(api.anonymous.post(path), 401)
    problem_of(api.teammate.post(path), 403)
    assert api.owner.get(f"{PATH}/{experiment_id}").get_json()["states"] == {"queued": 4}
    rings = api.bell.rings
    answer = api.owner.post(path)
    assert answer.status_code == 200
    assert answer.get_json()["states"] == {"cancelled": 4}
    assert answer.get_json()["finished"] is True
    assert api.bell.rings == rings + 1
    other, _ = api.submitted(GRID)
    assert api.admin.post(f"{PATH}/{other}/cancel").status_code == 200


def test_cancelling_leaves_finished_trials_alone(api: Api) -> None:
    experiment_id, _ = api.submitted(GRID)
    succeeded(api, claimed(api))
    running = claimed(api)
    states = api.owner.post(f"{PATH}/{experiment_id}/cancel").get_json()["states"]

    assert states == {"succeeded": 1, "running": 1, "cancelled": 2}
    shown = api.owner.get(f"/api/v1/trials/{running.trial_id}").get_json()
    assert shown["cancel_requested"] is True


def test_what_is_not_there_is_not_found(quick_api: Api) -> None:
    problem_of(quick_api.owner.get(f"{PATH}/1"), 404)
    problem_of(quick_api.owner.get(f"{PATH}/0"), 404)
    problem_of(quick_api.owner.get(f"{PATH}/-1"), 404)
    problem_of(quick_api.owner.get(f"{PATH}/{2**80}"), 404)
    problem_of(quick_api.owner.get(f"{PATH}/x"), 404)


def test_private_results_are_not_found_by_others(private_api: Api) -> None:
    api = private_api
    experiment_id, _ = api.submitted()

    problem_of(api.teammate.get(f"{PATH}/{experiment_id}"), 404)
    problem_of(api.teammate.post(f"{PATH}/{experiment_id}/cancel"), 404)
    problem_of(api.teammate.get(f"/api/v1/trials?experiment={experiment_id}"), 404)
    assert api.teammate.get(PATH).get_json()["experiments"] == []
    assert api.teammate.get(f"{PATH}?owner=owner").get_json()["experiments"] == []
    assert len(api.owner.get(PATH).get_json()["experiments"]) == 1
    assert len(api.admin.get(PATH).get_json()["experiments"]) == 1
    assert api.admin.get(f"{PATH}/{experiment_id}").status_code == 200
