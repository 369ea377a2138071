"""One spec on each of several devices, and what that says of their speeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.speed_ups import speed_ups_of
from db.models import Trial
from db.reads.listing import Wanted
from db.reads.trials import trials_of_experiment
from tests.support import pool
from tests.support.api import BENCHMARK, TRAIN, Api, claimed, problem_of, succeeded

pytest_plugins = ["tests.support.api_fixtures"]
BOTH = {**BENCHMARK, "device": ["cpu", "gpu"]}


def done(api: Api, device: str, **metrics: float) -> int:
    """Let a slot of this device run what it may; the trial's id."""
    with api.database.transaction() as session:
        slot = pool.slot(session, api.catalog, device=device)
    trial = claimed(api, slot)
    succeeded(api, trial, **metrics)
    return trial.trial_id


def test_it_works(api: Api) -> None:
    experiment, [cpu, gpu] = api.submitted({**BOTH, "name": "both"})
    with api.database.snapshot() as session:
        rows = [session.get_one(Trial, number) for number in (cpu, gpu)]
        assert [row.device for row in rows] == ["cpu", "gpu"]
        assert [row.varied for row in rows] == [{"device": "cpu"}, {"device": "gpu"}]
    path, page = f"/api/v1/experiments/{experiment}", f"/experiments/{experiment}"
    assert done(api, "cpu", median_ms=30.0) == cpu
    assert api.owner.get(path).get_json()["speed_ups"] == []
    assert "GPU against CPU" not in api.browser().get(page).text
    assert done(api, "gpu", median_ms=4.0) == gpu
    [found] = api.owner.get(path).get_json()["speed_ups"]
    assert found == {
        "metric": "median_ms", "cpu": 30.0, "gpu": 4.0, "ratio": 7.5,
        "cpu_trial": cpu, "gpu_trial": gpu, "transfer_ms": None, "ratio_with_transfer": None,
    }  # fmt: skip
    text = api.browser().get(page).text
    assert "GPU against CPU by median ms" in text and "7.5" in text
    assert "to bring the inputs" not in text


def test_the_transfer_is_shown_apart(api: Api) -> None:
    experiment, _ = api.submitted(BOTH)
    done(api, "cpu", median_ms=30.0)
    done(api, "gpu", median_ms=4.0, to_device_ms=5.0, from_device_ms=1.0)
    [found] = api.owner.get(f"/api/v1/experiments/{experiment}").get_json()["speed_ups"]
    # The kernel alone is what the ratio compares; 30 / (4 + 5 + 1) is what somebody waits for.
    assert (found["ratio"], found["transfer_ms"], found["ratio_with_transfer"]) == (7.5, 6.0, 3.0)
    text = api.browser().get(f"/experiments/{experiment}").text
    assert "3 with 6 ms to bring the inputs there and the output back" in text


def test_half_a_transfer_is_none(quick_api: Api) -> None:
    experiment, _ = quick_api.submitted(BOTH)
    done(quick_api, "cpu", median_ms=30.0)
    done(quick_api, "gpu", median_ms=4.0, to_device_ms=5.0)
    [found] = quick_api.owner.get(f"/api/v1/experiments/{experiment}").get_json()["speed_ups"]
    assert (found["transfer_ms"], found["ratio_with_transfer"]) == (None, None)


def test_each_size_has_a_speed_up_of_its_own(quick_api: Api) -> None:
    sizes = {"sizes.batch": [1, 8], "device": ["cpu", "gpu"]}
    sweep = {"kind": "sweep", "base": BENCHMARK, "strategy": {"method": "grid"}, "space": sizes}
    experiment, trials = quick_api.submitted(sweep)
    assert len(trials) == 4
    for device, times in (("cpu", (10.0, 80.0)), ("gpu", (5.0, 8.0))):
        for time_ms in times:
            done(quick_api, device, median_ms=time_ms)
    found = quick_api.owner.get(f"/api/v1/experiments/{experiment}").get_json()["speed_ups"]
    assert sorted(one["ratio"] for one in found) == [2.0, 10.0]


def test_a_training_run_is_compared_by_its_images(quick_api: Api) -> None:
    experiment, _ = quick_api.submitted({**TRAIN, "device": ["gpu", "cpu"]})
    done(quick_api, "cpu", images_per_second=100.0, train_seconds=9.0)
    done(quick_api, "gpu", images_per_second=50.0, train_seconds=8.0)
    with quick_api.database.snapshot() as session:
        rows = trials_of_experiment(session, Wanted(experiment_id=experiment), None, 10)
    [found] = speed_ups_of(rows)
    assert (found.metric, found.ratio) == ("images_per_second", 0.5)


def test_without_a_gpu_its_trial_waits_and_says_why(quick_api: Api) -> None:
    experiment, [_, gpu] = quick_api.submitted(BOTH)
    done(quick_api, "cpu", median_ms=30.0)
    assert "GPU slot" in quick_api.owner.get(f"/api/v1/trials/{gpu}").get_json()["waiting"]
    assert "GPU slot" in quick_api.browser().get(f"/experiments/{experiment}").text


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"device": []}, "/device"),
        ({"device": ["cpu", "cpu"]}, "/device/1"),
        ({"device": ["cpu", "tpu"]}, "/device/1"),
        ({"device": ["cpu", 3]}, "/device/1"),
        ({"kernel": "dense_rule"}, "/kernel"),
        ({"samples": 1}, "/samples"),
        ({"priority": "high"}, "/priority"),
        ({"tags": "x"}, "/tags"),
    ],
)
def test_what_is_wrong_is_placed_in_what_was_sent(
    quick_api: Api, changes: dict[str, Any], pointer: str
) -> None:
    problem = problem_of(quick_api.owner.submit({**BOTH, **changes}), 422)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_the_form_shows_it_as_a_sweep(quick_api: Api, tmp_path: Path) -> None:
    browser = quick_api.browser()
    text = "kind: benchmark\nkernel: dense_relu\ndevice: [cpu, gpu]\n"
    token = browser.form_token("/submit")
    answer = browser.send("/submit/form", {"spec": text, "csrf_token": token}).get_json()
    assert answer["spec"].startswith("kind: sweep\n") and "device: [cpu, gpu]" in answer["spec"]
