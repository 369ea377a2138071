"""Trials added to a sweep over the API, once however often the request is sent."""

from __future__ import annotations

import json
from typing import Any

from db.models import Trial
from tests.support.api import Api, Person, problem_of

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits"},
    "strategy": {"method": "random", "trials": 2, "seed": 3},
    "space": {"learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"}},
}


def ask(person: Person, sweep: int, trials: int, key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency_Key": key}
    return person.send(
        "POST",
        f"/api/v1/experiments/{sweep}/trials",
        json.dumps({"trials": trials}),
        "application/json",
        **headers,
    )


def count(api: Api, sweep: int) -> int:
    with api.database.transaction() as session:
        return session.query(Trial).filter_by(experiment_id=sweep).count()


def test_it_works(api: Api) -> None:
    """Sent again with its key, before and after other requests, it adds nothing more."""
    sweep, _ = api.submitted(SWEEP)
    first = ask(api.owner, sweep, 3, "once")
    assert first.status_code == 200 and first.get_json()["trial_count"] == 5
    assert "Idempotency-Replayed" not in first.headers
    for _ in range(2):
        again = ask(api.owner, sweep, 3, "once")
        assert again.status_code == 200
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.get_json()["trial_count"] == 5
    assert ask(api.owner, sweep, 3, "twice").get_json()["trial_count"] == 8
    assert ask(api.owner, sweep, 3, "once").get_json()["trial_count"] == 8
    assert count(api, sweep) == 8


def test_without_a_key_each_request_adds(quick_api: Api) -> None:
    sweep, _ = quick_api.submitted(SWEEP)
    for wanted in (3, 4):
        assert ask(quick_api.owner, sweep, 1).get_json()["trial_count"] == wanted


def test_a_key_is_for_one_request(quick_api: Api) -> None:
    sweep, _ = quick_api.submitted(SWEEP)
    other, _ = quick_api.submitted(SWEEP)
    assert ask(quick_api.owner, sweep, 1, "k").status_code == 200
    problem_of(ask(quick_api.owner, sweep, 2, "k"), 422)
    problem_of(ask(quick_api.owner, other, 1, "k"), 422)
    assert (count(quick_api, sweep), count(quick_api, other)) == (3, 2)
    problem_of(ask(quick_api.owner, sweep, 1, "a key"), 400)


def test_what_was_refused_can_be_sent_again(quick_api: Api) -> None:
    """A refusal takes no key."""
    sweep, _ = quick_api.submitted(
        {**SWEEP, "strategy": {"method": "grid"}, "space": {"seed": [1]}}
    )
    for _ in range(2):
        problem_of(ask(quick_api.owner, sweep, 1, "k"), 409)
    good, _ = quick_api.submitted(SWEEP)
    assert ask(quick_api.owner, good, 1, "k").status_code == 200
