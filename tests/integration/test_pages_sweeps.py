"""The page of a sweep, by plain HTTP: its panels, its buttons, and how large it may grow."""

from __future__ import annotations

import re

from tests.support.api import GRID, TRAIN, Api, claimed, failed, succeeded
from tests.support.bulk import statements
from tests.support.forms import cell
from tests.support.large_sweep import large_spec, large_sweep
from tests.support.pool import slot
from tests.support.searched import ASHA, Life

pytest_plugins = ["tests.support.api_fixtures"]

HOSTILE = "</p><script>alert(1)</script>"


def page_of(api: Api, experiment_id: int, who: str = "owner") -> str:
    answer = api.browser(who).get(f"/experiments/{experiment_id}")
    assert answer.status_code == 200
    return answer.text


def ran(api: Api, count: int) -> None:
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    for number in range(count):
        succeeded(api, claimed(api, taker), 0.5 + number / 100)


def test_it_works(api: Api) -> None:
    life = Life(api.database, api.catalog, ASHA, name="owner")
    life.one()
    life.one()
    page = page_of(api, life.experiment)
    assert cell(page, "rung-0", "paused") == "2"
    assert cell(page, "rung-0", "waiting") == "2"
    assert cell(page, "rung-0", "places") == "2 of 4"
    assert cell(page, "rung-2", "epochs") == "4"
    for name in ("rungs", "best-so-far", "importance", "coordinates", "picked", "cost", "to-come"):
        assert f'id="{name}"' in page, name
    assert page.count('class="thread ') == 2
    life.go()
    page = page_of(api, life.experiment)
    assert cell(page, "rung-0", "paused") == ""
    assert "Nothing is left to do." in page
    assert 'data-finished="true"' in page


def test_a_grid_shows_its_best_and_no_rungs(quick_api: Api) -> None:
    experiment_id, ids = quick_api.submitted(GRID)
    page = page_of(quick_api, experiment_id)
    assert "No trial has a value" in page
    assert 'id="rungs"' not in page and 'id="coordinates"' not in page
    ran(quick_api, 4)
    page = page_of(quick_api, experiment_id)
    assert re.findall(r'<tr id="picked-(\d+)"', page) == [str(one) for one in reversed(ids)]
    assert "4 of 4 do." in page, "too few to say what matters"
    assert "4 steps as a table" in page


def test_a_failed_and_a_training_run_are_pages_too(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted(GRID)
    for _ in range(4):
        failed(quick_api, claimed(quick_api), HOSTILE)
    page = page_of(quick_api, experiment_id)
    assert "No trial has a result yet." in page and "<script>alert" not in page
    other, _ = quick_api.submitted(TRAIN)
    page = page_of(quick_api, other)
    assert "Best so far" not in page and "time on slots" in page


def test_stopping_asks_once_more_and_each_button_may_be_pressed_twice(quick_api: Api) -> None:
    life = Life(quick_api.database, quick_api.catalog, ASHA, name="owner")
    life.one()
    browser = quick_api.browser()
    address = f"/experiments/{life.experiment}"
    page = browser.get(address).text
    for verb in ("stop", "cancel"):
        inside = page.partition(f'id="ask-{verb}"')[2].partition("</details>")[0]
        assert f'action="{address}/{verb}"' in inside and "cannot be taken back" in inside
        assert page.count(f'action="{address}/{verb}"') == 1, "not beside the question"
    assert f'action="{address}/pause"' in page.replace("<details", "<form")
    for verb, halted in (("pause", "is paused"), ("resume", ""), ("stop", "was stopped")):
        for _ in range(2):
            token = browser.form_token(address)
            if not token:
                break
            sent = browser.send(f"{address}/{verb}", {"csrf_token": token})
            assert sent.status_code == 303, (verb, sent.text[:200])
        page = browser.get(address).text
        assert ('id="halted"' in page) == bool(halted)
        assert halted in page
    api_path = f"/api/v1{address}"
    for verb in ("stop", "pause", "resume"):
        first, again = (quick_api.owner.post(f"{api_path}/{verb}") for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        said = [{**one.get_json(), "changed": 0} for one in (first, again)]
        assert said[0] == said[1], verb


def test_only_the_owner_and_an_administrator_have_buttons(quick_api: Api) -> None:
    experiment_id, _ = quick_api.submitted(GRID)
    claimed(quick_api)
    for who, has in (("owner", True), ("admin", True), ("teammate", False)):
        page = page_of(quick_api, experiment_id, who)
        assert (f'action="/experiments/{experiment_id}/stop"' in page) == has, who
        assert (f'action="/experiments/{experiment_id}/pause"' in page) == has, who
        if not has:
            sent = quick_api.people[who].post(f"/api/v1/experiments/{experiment_id}/stop")
            assert sent.status_code == 403


def test_a_paused_search_can_be_resumed_when_all_its_trials_have_ended(quick_api: Api) -> None:
    spec = large_spec(12)
    spec["strategy"] = {"method": "tpe", "trials": 12, "at_once": 2, "startup_trials": 12}
    experiment_id, _ = quick_api.submitted(spec)
    with quick_api.database.transaction() as session:
        taker = slot(session, quick_api.catalog)
    first = [claimed(quick_api, taker)]
    quick_api.owner.post(f"/api/v1/experiments/{experiment_id}/pause")
    succeeded(quick_api, first[0], val_accuracy=0.5)
    for trial in quick_api.owner.get(f"/api/v1/trials?experiment={experiment_id}").get_json()[
        "trials"
    ]:
        if trial["state"] == "queued":
            quick_api.owner.post(f"/api/v1/trials/{trial['id']}/cancel")
    page = page_of(quick_api, experiment_id)
    assert f'action="/experiments/{experiment_id}/resume"' in page
    quick_api.owner.post(f"/api/v1/experiments/{experiment_id}/resume")
    assert 'data-finished="false"' in page_of(quick_api, experiment_id)


def test_a_thousand_trials_are_no_longer_page(quick_api: Api) -> None:
    taken: dict[int, int] = {}
    for count in (120, 1000):
        experiment_id = large_sweep(quick_api, count)
        browser = quick_api.browser()
        browser.get(f"/experiments/{experiment_id}")
        with statements(quick_api.database) as seen:
            page = browser.get(f"/experiments/{experiment_id}").text
        taken[count] = len(seen)
        assert page.count('class="thread ') <= 100
        assert len(page) < 250_000
    assert taken[1000] <= taken[120] + 2, taken
    assert taken[1000] <= 45, taken
    assert "the best 100 of 900 trials" in page
    assert "Trained together with" in page
