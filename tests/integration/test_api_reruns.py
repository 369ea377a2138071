"""A trial run again: what is made, what is refused, and how both compare."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from db import owner
from db.claims import ClaimedTrial, SlotIdentity
from db.models import Attempt, Trial
from tests.support.api import BENCHMARK, TRAIN, Api, claimed, failed, problem_of
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

RESULT = {"test_accuracy": 0.97, "test_loss": 0.11, "train_seconds": 3.0}


def finish(api: Api, weights: str, taker: SlotIdentity | None = None, **metrics: float) -> int:
    """The next trial of the queue succeeds with these weights."""
    trial: ClaimedTrial = claimed(api, taker)
    with api.database.transaction() as session:
        found, summary = {**RESULT, **metrics}, {"weights_sha256": weights * 64}
        owner.succeed(session, trial.trial_id, trial.fence, found, summary)
        lease_id = session.get_one(Attempt, trial.attempt_id).lease_id
        owner.end_lease(session, lease_id)
    return trial.trial_id


def again(api: Api, trial_id: int, name: str = "owner", query: str = "") -> dict[str, Any]:
    answer = api.people[name].post(f"/api/v1/trials/{trial_id}/rerun{query}")
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == answer.get_json()["url"]
    return dict(answer.get_json())


def compared(api: Api, trial_id: int) -> Any:
    return api.owner.get(f"/api/v1/trials/{trial_id}").get_json()["reproduction"]


def test_it_works(api: Api) -> None:
    spec = {**TRAIN, "name": "first", "tags": ["keep"], "seed": 7, "learning_rate": 0.01}
    _, [first] = api.submitted(spec)
    finish(api, "a")
    made = again(api, first)
    second = made["trial_id"]

    assert (made["rerun_of"], made["changed"]) == (first, [])
    one, two = (api.owner.get(f"/api/v1/trials/{number}").get_json() for number in (first, second))
    assert two["experiment_id"] != one["experiment_id"]
    assert two["parent_id"] == first
    for key in ("seed", "code_digest", "data_digest"):
        assert two[key] == one[key]
    assert {**two["spec"], "name": "", "tags": []} == {**one["spec"], "name": "", "tags": []}
    assert one["reproduction"] is None
    assert compared(api, second)["verdict"] == "open"
    finish(api, "a", train_seconds=9.0)
    found = compared(api, second)
    assert (found["verdict"], found["reasons"]) == ("identical", [])
    assert "train_seconds" not in {pair["name"] for pair in found["metrics"]}
    page = api.browser().get(f"/trials/{second}").text
    assert "bit by bit" in page
    assert f'href="/trials/{second}">trial {second}</a> (succeeded)' in (
        api.browser().get(f"/trials/{first}").text
    )


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.975, "reproduced"), (0.5, "differs")])
def test_other_weights_are_held_against_the_seeds(api: Api, accuracy: float, verdict: str) -> None:
    _, [first, *_] = api.submitted({**TRAIN, "repeat": 3})
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for value in (0.97, 0.96, 0.98):
        finish(api, "a", taker, test_accuracy=value)
    second = again(api, first, "teammate")["trial_id"]
    finish(api, "b", taker, test_accuracy=accuracy)
    with api.database.transaction() as session:
        environment = {"device": "cpu", "threads": 2, "versions": {"keras": "3.16"}}
        session.execute(
            update(Attempt).where(Attempt.trial_id == second).values(environment=environment)
        )
    found = compared(api, second)

    assert (found["verdict"], found["seeds"]) == (verdict, 3)
    [pair] = [pair for pair in found["metrics"] if pair["name"] == "test_accuracy"]
    # 0.97 ± t(0.975, 2) · 0.01 · √(1 + 1/3)
    assert pair["low"] == pytest.approx(0.97 - 4.302653 * 0.01 * (4 / 3) ** 0.5, abs=2e-6)
    assert "threads: 1, then 2" in found["reasons"]
    assert "keras: 3.15.1, then 3.16" in found["reasons"]
    page = api.browser().get(f"/trials/{second}").text
    assert f'data-verdict="{verdict}"' in page
    assert "threads: 1, then 2" in page


def test_with_one_seed_nothing_is_taken_for_chance(quick_api: Api) -> None:
    _, [first] = quick_api.submitted()
    finish(quick_api, "a")
    same, other = (again(quick_api, first)["trial_id"] for _ in range(2))
    finish(quick_api, "b")
    finish(quick_api, "b", test_accuracy=0.9701)

    assert compared(quick_api, same)["verdict"] == "reproduced"
    assert compared(quick_api, other)["verdict"] == "differs"
    page = quick_api.browser().get(f"/trials/{other}").text
    assert "in test accuracy; how far chance moves one seed is not known" in page


def test_changed_code_is_refused_by_name(quick_api: Api) -> None:
    _, [first] = quick_api.submitted()
    finish(quick_api, "a")
    before = quick_api.stored()
    with quick_api.database.transaction() as session:
        session.execute(update(Trial).where(Trial.id == first).values(code_digest="c" * 64))
    path = f"/api/v1/trials/{first}/rerun"
    problem = problem_of(quick_api.owner.post(path), 409)
    assert problem["type"].endswith("code-changed")
    assert problem["detail"].startswith(f"The model mlp has changed since trial {first} ran.")
    assert f"labpool rerun {first} --with-todays-code" in problem["detail"]
    assert quick_api.stored() == before

    made = again(quick_api, first, query="?code=today")
    assert made["changed"] == ["the model mlp has changed"]
    finish(quick_api, "a")
    assert (
        "the catalog entry's code has changed" in compared(quick_api, made["trial_id"])["reasons"]
    )
    notes = quick_api.owner.get(f"/api/v1/experiments/{made['experiment_id']}").get_json()["notes"]
    assert notes == "With today's code: the model mlp has changed."
    problem_of(quick_api.owner.post(f"{path}?code=other"), 422)


def test_what_is_gone_cannot_be_run_with_todays_code(quick_api: Api) -> None:
    _, [first] = quick_api.submitted()
    finish(quick_api, "a")
    with quick_api.database.transaction() as session:
        trial = session.get_one(Trial, first)
        trial.spec = {**trial.spec, "dataset": "attic"}
    answer = quick_api.owner.post(f"/api/v1/trials/{first}/rerun?code=today")
    problem = problem_of(answer, 409)
    assert "data set attic is no longer in the catalog" in problem["detail"]
    assert "--with-todays-code" not in problem["detail"]


def test_only_what_succeeded_is_run_again_and_only_by_who_sees_it(private_api: Api) -> None:
    _, [waiting] = private_api.submitted()
    path = f"/api/v1/trials/{waiting}/rerun"
    assert "is queued" in problem_of(private_api.owner.post(path), 409)["detail"]
    problem_of(private_api.teammate.post(path), 404)
    failed(private_api, claimed(private_api), "it broke")
    assert "is failed" in problem_of(private_api.owner.post(path), 409)["detail"]


def test_another_lab_member_does_not_hear_of_a_private_first(private_api: Api) -> None:
    _, [first] = private_api.submitted()
    finish(private_api, "a")
    second = again(private_api, first, "admin")["trial_id"]
    finish(private_api, "a")
    seen = private_api.admin.get(f"/api/v1/trials/{second}").get_json()
    assert seen["reproduction"]["verdict"] == "identical"
    page = private_api.browser("owner").get(f"/trials/{first}").text
    assert f"/trials/{second}" not in page


def test_a_benchmark_is_held_against_its_own_interval(quick_api: Api) -> None:
    _, [first] = quick_api.submitted(BENCHMARK)
    times = {"median_ms": 1.0, "median_low_ms": 0.98, "median_high_ms": 1.02, "gflop_s": 9.0}
    finish(quick_api, "a", **times)
    near, far = (again(quick_api, first)["trial_id"] for _ in range(2))
    for factor in (1.03, 2.0):
        trial = claimed(quick_api)
        with quick_api.database.transaction() as session:
            found = {name: value * factor for name, value in times.items()}
            owner.succeed(session, trial.trial_id, trial.fence, found, {})
    assert compared(quick_api, near)["verdict"] == "reproduced"
    assert compared(quick_api, far)["verdict"] == "differs"


def test_the_button_makes_one_and_goes_to_it(quick_api: Api) -> None:
    _, [first] = quick_api.submitted()
    finish(quick_api, "a")
    browser = quick_api.browser("teammate")
    token = browser.form_token(f"/trials/{first}")
    answer = browser.send(f"/trials/{first}/rerun", {"csrf_token": token})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/trials/{first + 1}")
    assert quick_api.bell.rings > 0
