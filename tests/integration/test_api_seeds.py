"""Several seeds of one experiment: their means in the API and on its page."""

from __future__ import annotations

import math

import pytest

from tests.support.api import TRAIN, Api, claimed, failed, succeeded
from tests.support.pool import slot

pytest_plugins = ["tests.support.api_fixtures"]

SWEEP = {
    "kind": "sweep",
    "base": {**TRAIN, "repeat": 3},
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.1, 0.01]},
}


def run_all(api: Api, values: list[float | None]) -> None:
    """The next trials of the queue come to these accuracies; None fails."""
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for value in values:
        trial = claimed(api, taker)
        if value is None:
            failed(api, trial, "it broke")
        else:
            succeeded(api, trial, value)


def test_it_works(api: Api) -> None:
    experiment_id, trial_ids = api.submitted({**TRAIN, "repeat": 5})
    run_all(api, [0.96, 0.97, 0.98, 0.95, 0.99])
    answer = api.owner.get(f"/api/v1/experiments/{experiment_id}").get_json()

    [point] = answer["points"]
    assert (point["varied"], point["trial_ids"], point["seeds"]) == ({}, trial_ids, 5)
    accuracy = point["metrics"]["test_accuracy"]
    assert (accuracy["n"], accuracy["mean"]) == (5, pytest.approx(0.97))
    half_width = 2.7764451 * math.sqrt(0.001 / 4) / math.sqrt(5)
    assert accuracy["half_width"] == pytest.approx(half_width)
    page = api.browser().get(f"/experiments/{experiment_id}").text
    assert "0.970 ± 0.020" in page
    assert "the seed alone" in page


def test_each_point_has_its_own_and_says_what_is_missing(api: Api) -> None:
    experiment_id, _ = api.submitted(SWEEP)
    run_all(api, [0.9, None, 0.92, 0.5])
    points = api.owner.get(f"/api/v1/experiments/{experiment_id}").get_json()["points"]

    assert [point["varied"] for point in points] == [
        {"learning_rate": 0.1},
        {"learning_rate": 0.01},
    ]
    first, second = (point["metrics"]["test_accuracy"] for point in points)
    assert (first["n"], first["mean"]) == (2, pytest.approx(0.91))
    assert (second["n"], second["deviation"], second["half_width"]) == (1, None, None)
    page = api.browser().get(f"/experiments/{experiment_id}").text
    assert "2 of 3" in page
    assert "1 of 3" in page


def test_a_retry_of_a_seed_is_no_further_run(quick_api: Api) -> None:
    experiment_id, [first, _] = quick_api.submitted({**TRAIN, "repeat": 2})
    run_all(quick_api, [0.9, 0.8])
    assert quick_api.owner.post(f"/api/v1/trials/{first}/retry").status_code == 201
    path = f"/api/v1/experiments/{experiment_id}"
    [point] = quick_api.owner.get(path).get_json()["points"]
    assert point["metrics"]["test_accuracy"]["mean"] == pytest.approx(0.85), "before it has run"
    run_all(quick_api, [0.7])

    [point] = quick_api.owner.get(path).get_json()["points"]
    accuracy = point["metrics"]["test_accuracy"]
    assert (accuracy["n"], accuracy["mean"]) == (2, pytest.approx(0.75))


def test_one_seed_of_each_has_no_points(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted({**SWEEP, "base": TRAIN})
    run_all(quick_api, [0.9, 0.8])
    answer = quick_api.owner.get(f"/api/v1/experiments/{experiment_id}").get_json()

    assert answer["points"] == []
    assert 'id="points"' not in quick_api.browser().get(f"/experiments/{experiment_id}").text
