"""Boards, catalog, pool, specs, health and the API's own description."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from db.engine import Database
from labpool.catalog import Catalog
from labpool.spec import spec_schema
from tests.support import pool
from tests.support.api import BENCHMARK, GRID, TRAIN, Api, claimed, epochs, problem_of, succeeded

pytest_plugins = ["tests.support.api_fixtures"]


def test_it_works(api: Api) -> None:
    api.submitted()
    succeeded(api, claimed(api), 0.95)
    api.teammate.submit({**TRAIN, "model": "lenet5"})
    succeeded(api, claimed(api), 0.97)
    body = api.owner.get("/api/v1/boards/digits").get_json()

    assert [(row["rank"], row["user"], row["value"]) for row in body["rows"]] == [
        (1, "teammate", 0.97),
        (2, "owner", 0.95),
    ]
    assert body["board"]["metric"] == "test_accuracy"
    assert body["rows"][0]["device"] == "cpu"
    assert body["rows"][0]["model"] == "lenet5"
    names = [board["name"] for board in api.owner.get("/api/v1/boards").get_json()["boards"]]
    assert "digits" in names
    problem_of(api.owner.get("/api/v1/boards/nothing"), 404)


def test_private_boards_show_ones_own(private_api: Api) -> None:
    private_api.submitted()
    succeeded(private_api, claimed(private_api), 0.95)

    assert private_api.teammate.get("/api/v1/boards/digits").get_json()["rows"] == []
    assert len(private_api.owner.get("/api/v1/boards/digits").get_json()["rows"]) == 1


def test_the_catalog_is_shown_without_paths(quick_api: Api, catalog: Catalog) -> None:
    answer = quick_api.owner.get("/api/v1/catalog")
    body = answer.get_json()

    assert {entry["name"] for entry in body["models"]} == set(catalog.models)
    assert {entry["name"] for entry in body["kernels"]} == set(catalog.kernels)
    assert str(catalog.models["mlp"].path.parent) not in answer.text
    one = quick_api.owner.get("/api/v1/catalog/models/mlp").get_json()
    assert one["digest"] == catalog.models["mlp"].digest
    assert one["details"]["parameters"]["hidden"]["default"]
    problem_of(quick_api.owner.get("/api/v1/catalog/models/nothing"), 404)
    problem_of(quick_api.owner.get("/api/v1/catalog/attic/mlp"), 422)


def test_the_pool_shows_slots_and_what_they_run(api: Api) -> None:
    assert api.owner.get("/api/v1/pool").get_json()["slot_count"] == 0
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    api.submitted(GRID)
    trial = claimed(api, slot)
    epochs(api, trial, range(1, 3), total=4)
    body = api.teammate.get("/api/v1/pool").get_json()

    assert (body["slot_count"], body["busy_count"], body["queued_count"]) == (1, 1, 3)
    [held] = body["workers"][0]["slots"][0]["trials"]
    assert held["trial_id"] == trial.trial_id
    assert held["owner"] == "owner"
    assert held["progress_done"] == 2


def test_a_silent_worker_is_said_to_be_silent(api: Api) -> None:
    with api.database.transaction() as session:
        pool.slot(session, api.catalog)
    pool.step_clock(api.database, 200)
    body = api.owner.get("/api/v1/pool").get_json()

    assert body["workers"][0]["alive"] is False
    assert body["slot_count"] == 0


def test_the_queue_says_why_each_trial_waits(api: Api) -> None:
    with api.database.transaction() as session:
        pool.slot(session, api.catalog)
    _, [unserved] = api.submitted({**BENCHMARK, "device": "gpu"})
    _, swept = api.submitted(GRID)
    first = api.owner.get("/api/v1/pool/queue?limit=3")
    body = first.get_json()

    assert "next" in body["queue"][0]["waiting"]
    assert [row["trial"]["id"] for row in body["queue"]] == swept[:3]
    rest = api.owner.get(body["next"]).get_json()
    # No slot of the pool could take it, so whatever a slot can take comes before it.
    assert [row["trial"]["id"] for row in rest["queue"]] == [swept[3], unserved]
    assert "GPU" in rest["queue"][1]["waiting"]
    assert rest["next"] is None


def test_a_private_pool_hides_whose_trials_run(private_api: Api) -> None:
    api = private_api
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog)
    api.submitted(GRID)
    claimed(api, slot)
    body = api.teammate.get("/api/v1/pool").get_json()

    [held] = body["workers"][0]["slots"][0]["trials"]
    assert held["trial_id"] is held["owner"] is held["model"] is None
    assert body["busy_count"] == 1
    assert api.teammate.get("/api/v1/pool/queue").get_json()["queue"] == []
    assert len(api.owner.get("/api/v1/pool/queue").get_json()["queue"]) == 3


def test_a_spec_is_checked_without_being_stored(quick_api: Api) -> None:
    body = quick_api.owner.post("/api/v1/specs/validate", GRID).get_json()

    assert body["trial_count"] == 4
    assert body["trials"][0]["spec"]["optimizer"] == "adam"
    assert body["trials"][0]["varied"].keys() == {"learning_rate", "batch_size"}
    assert quick_api.stored() == {"experiments": 0, "trials": 0, "idempotency_keys": 0}


def test_the_schema_is_published_and_takes_what_is_taken(quick_api: Api) -> None:
    schema = json.loads(quick_api.anonymous.get("/api/v1/specs/schema").data)

    assert schema == spec_schema()
    checker = Draft202012Validator(schema)
    Draft202012Validator.check_schema(schema)
    for spec in (TRAIN, GRID, BENCHMARK):
        checker.validate(spec)


def test_the_description_is_valid_openapi(quick_api: Api) -> None:
    answer = quick_api.anonymous.get("/api/v1/openapi.json")
    document = answer.get_json()

    validate(document)
    assert document["openapi"].startswith("3.1")
    submit = document["paths"]["/api/v1/experiments"]["post"]
    assert submit["requestBody"]["content"].keys() == {"application/json", "application/yaml"}
    reference = submit["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    spec = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert len(spec["oneOf"]) == 3
    assert "$defs" not in answer.text
    assert "<br/>" not in answer.text


def test_the_description_knows_every_route(quick_api: Api) -> None:
    import re

    document = quick_api.anonymous.get("/api/v1/openapi.json").get_json()
    described = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    routed = {
        (method, re.sub(r"<(?:[^<:]+:)?([^>]+)>", r"{\1}", rule.rule))
        for rule in quick_api.app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routed - described == {("GET", "/api/v1/openapi.json")}
    for item in document["paths"].values():
        for operation in item.values():
            assert operation["summary"]
            assert operation["x-role"] in ("public", "member", "admin")
            assert "problem+json" in json.dumps(operation["responses"]["default"])


def test_health_asks_nothing_of_the_database(quick_api: Api, monkeypatch: object) -> None:
    quick_api.database.dispose()
    assert quick_api.anonymous.get("/api/v1/health").get_json() == {"status": "ok"}


def test_ready_says_what_is_wrong(api: Api) -> None:
    assert api.anonymous.get("/api/v1/ready").status_code == 200
    with api.database.engine.execution_options(write=True).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_the_future'")
    problem = problem_of(api.anonymous.get("/api/v1/ready"), 503)
    assert "newer" in problem["detail"]


def test_ready_does_not_tell_the_databases_address(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def broken(self: Database) -> None:
        raise OperationalError("connect", {}, Exception("db.lab hunter2"))

    monkeypatch.setattr("api.routes.health.check", broken)
    problem = problem_of(api.anonymous.get("/api/v1/ready"), 503)
    assert "hunter2" not in json.dumps(problem)
