"""What has a result already is named to whoever submits it once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update

from db.models import Result, Trial
from tests.support.api import BENCHMARK, TRAIN, Api, claimed, failed, problem_of, succeeded
from tests.support.bulk import statements
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP = {
    "kind": "sweep",
    "base": TRAIN,
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.1, 0.01]},
}


def done(api: Api, spec: Mapping[str, Any] | None = None) -> int:
    """A trial of the owner's with a result."""
    _, [trial_id] = api.submitted(spec)
    succeeded(api, claimed(api), 0.97)
    return trial_id


def found(api: Api, spec: Mapping[str, Any], name: str = "owner") -> list[int]:
    """The trials that a check of the spec names."""
    answer = api.people[name].post("/api/v1/specs/validate", dict(spec))
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert body["duplicate_count"] == len(body["duplicates"])
    return [item["trial_id"] for item in body["duplicates"]]


def test_it_works(api: Api) -> None:
    trial_id = done(api, {**TRAIN, "name": "first", "tags": ["a"]})
    again = {**TRAIN, "name": "other", "notes": "x", "priority": "low", "time_limit_s": 50.0}
    answer = api.teammate.submit(again)
    body = answer.get_json()

    assert answer.status_code == 201, "it runs all the same"
    assert body["reused"] is False
    [known] = body["duplicates"]
    assert (known["trial_id"], known["number"], known["owner"]) == (trial_id, 0, "owner")
    assert known["metrics"]["test_accuracy"] == 0.97
    assert known["page_url"] == f"/trials/{trial_id}"
    assert found(api, again) == [trial_id]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"epochs": 4}, {"learning_rate": 0.5}, {"model": "softmax"}, {"engine": "fit"},
     {"device": "cpu"}, {"early_stopping_patience": 2}, {"parameters": {"hidden": [7]}}],
    ids=str,
)  # fmt: skip
def test_what_may_come_to_something_else_is_no_duplicate(
    quick_api: Api, change: dict[str, Any]
) -> None:
    done(quick_api)
    assert found(quick_api, {**TRAIN, **change}) == []


def test_only_a_result_of_the_same_code_counts(quick_api: Api) -> None:
    quick_api.submitted()
    assert found(quick_api, TRAIN) == [], "it waits"
    failed(quick_api, claimed(quick_api), "it broke")
    assert found(quick_api, TRAIN) == []
    trial_id = done(quick_api)
    assert found(quick_api, TRAIN) == [trial_id]
    for values in ({"code_digest": "c" * 64}, {"data_digest": "d" * 64}):
        with quick_api.database.transaction() as session:
            row = session.get_one(Trial, trial_id)
            kept = {name: getattr(row, name) for name in values}
            session.execute(update(Trial).where(Trial.id == trial_id).values(**values))
        assert found(quick_api, TRAIN) == []
        with quick_api.database.transaction() as session:
            session.execute(update(Trial).where(Trial.id == trial_id).values(**kept))
    with quick_api.database.transaction() as session:
        session.execute(update(Result).values(summary={"stopped_by_user": True}))
    assert found(quick_api, TRAIN) == [], "what was stopped has no result of the whole"


def test_return_stores_nothing_when_all_is_there(api: Api) -> None:
    first, second = done(api, {**TRAIN, "learning_rate": 0.1}), None
    answer = api.owner.post("/api/v1/experiments?if_duplicate=return", SWEEP)
    assert answer.status_code == 201, "one of the two has no result"
    assert [item["number"] for item in answer.get_json()["duplicates"]] == [0]
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for _ in range(2):
        trial = claimed(api, taker)
        succeeded(api, trial, 0.9)
        second = trial.trial_id
    before = api.stored()
    key = {"Idempotency-Key": "once"}
    answer = api.owner.post("/api/v1/experiments?if_duplicate=return", SWEEP, key)
    body = answer.get_json()

    assert (answer.status_code, body["reused"]) == (200, True)
    assert [item["id"] for item in body["trials"]] == [second - 1, second], "the newest of each"
    assert first not in [item["id"] for item in body["trials"]]
    assert api.stored() == before
    problem_of(api.owner.post("/api/v1/experiments?if_duplicate=maybe", SWEEP), 422)


def test_others_private_results_are_not_told(private_api: Api) -> None:
    trial_id = done(private_api)
    assert found(private_api, TRAIN, "teammate") == []
    assert found(private_api, TRAIN, "admin") == [trial_id]
    answer = private_api.teammate.post("/api/v1/experiments?if_duplicate=return", TRAIN)
    assert answer.status_code == 201
    assert answer.get_json()["duplicates"] == []


def test_a_benchmark_has_duplicates_too(quick_api: Api) -> None:
    trial_id = done(quick_api, BENCHMARK)
    assert found(quick_api, BENCHMARK) == [trial_id]
    assert found(quick_api, {**BENCHMARK, "samples": 40}) == []


def test_the_submit_page_links_to_it(quick_api: Api) -> None:
    trial_id = done(quick_api)
    browser = quick_api.browser("teammate")
    page = browser.get(f"/submit?from=trial:{trial_id}").text
    assert f'This has a result already: <a href="/trials/{trial_id}">trial {trial_id}</a>' in page
    assert '<p id="duplicates" class="notice" hidden></p>' in browser.get("/submit").text


def test_a_large_sweep_takes_few_statements(quick_api: Api) -> None:
    space = {"learning_rate": {"low": 0.001, "high": 0.1, "steps": 600}}
    sweep = {**SWEEP, "space": space}
    done(quick_api, {**TRAIN, "learning_rate": 0.1})
    with statements(quick_api.database) as few:
        assert len(found(quick_api, TRAIN)) == 0
    with statements(quick_api.database) as many:
        answer = quick_api.owner.post("/api/v1/specs/validate", sweep)
    assert [item["number"] for item in answer.get_json()["duplicates"]] == [599]
    assert len(many) == len(few) + 1
