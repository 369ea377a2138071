"""Pages about turns: why a trial waits, its priority, users' shares and caps."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from db.users import find_user
from tests.support.api import TRAIN, Api, Browser, claimed
from tests.support.pool import slot, trial

pytest_plugins = ["tests.support.api_fixtures"]


def priority_of(api: Api, trial_id: int) -> int:
    with api.database.transaction() as session:
        return trial(session, trial_id).priority


def send(browser: Browser, page: str, path: str, form: dict[str, str]) -> TestResponse:
    """Post a form of `page`."""
    return browser.send(path, {**form, "csrf_token": browser.form_token(page)})


def test_it_works(quick_api: Api) -> None:
    """A waiting trial's page says who is ahead, whose turn it is, and the arithmetic."""
    api = quick_api
    with api.database.transaction() as session:
        taker = slot(session, api.catalog)
    api.submitted()
    claimed(api, taker)
    api.teammate.submit(TRAIN)
    _, [waits] = api.submitted()
    page = api.browser().get(f"/trials/{waits}").text
    panel = page.partition('id="turn"')[2].partition("</dl>")[0]
    assert "1 is ahead of it" in page
    assert "1 of teammate" in panel
    assert "owner holds 1 slot" in panel
    assert "next is teammate, who holds 0 slots" in panel
    assert "No estimate: no trial of mlp has ended well yet." in panel
    assert 'id="turn"' not in api.browser().get("/trials/1").text


def test_the_owner_changes_a_priority_by_a_form(quick_api: Api) -> None:
    api = quick_api
    _, [waits] = api.submitted()
    path = f"/trials/{waits}/priority"
    browser = api.browser()
    page = f"/trials/{waits}"
    text = browser.get(page).text
    assert "<option selected>normal</option>" in text
    assert "<option>high</option>" not in text
    assert send(browser, page, path, {"priority": "low"}).status_code == 303
    assert priority_of(api, waits) == -1
    assert send(browser, page, path, {"priority": "high"}).status_code == 403
    assert send(browser, page, path, {"priority": "urgent"}).status_code == 422
    other = api.browser("teammate")
    assert "priority-form" not in other.get(f"/trials/{waits}").text
    assert "Its priority is low." in other.get(f"/trials/{waits}").text
    assert send(other, page, path, {"priority": "normal"}).status_code == 403
    admin = api.browser("admin")
    assert "<option>high</option>" in admin.get(f"/trials/{waits}").text
    assert send(admin, page, path, {"priority": "high"}).status_code == 303
    assert priority_of(api, waits) == 1
    claimed(api)
    assert send(admin, page, path, {"priority": "low"}).status_code == 409


def test_admins_set_shares_and_caps(quick_api: Api) -> None:
    api = quick_api
    browser = api.browser("admin")
    path = "/users/owner/limits"
    assert send(browser, "/users", path, {"share": "2.5", "max_running": "3"}).status_code == 303
    page = browser.get("/users").text
    row = page.partition('id="user-owner"')[2].partition("</tr>")[0]
    assert 'name="share" value="2.5"' in row
    assert 'name="max_running" value="3"' in row
    api.submitted()
    assert "1 waiting · share 2.5 · at most 3 at once" in browser.get("/pool").text
    assert send(browser, "/users", path, {"share": "1", "max_running": ""}).status_code == 303
    with api.database.snapshot() as session:
        user = find_user(session, "owner")
        assert user is not None
        assert (user.share, user.max_running) == (1.0, None)


@pytest.mark.parametrize(
    "form",
    [{"share": "much", "max_running": ""}, {"share": "nan", "max_running": ""},
     {"share": "0", "max_running": ""}, {"share": "1", "max_running": "0"},
     {"share": "1", "max_running": "2.5"}, {"share": "1", "max_running": "9" * 20}],
)  # fmt: skip
def test_nonsense_is_refused_with_words(quick_api: Api, form: dict[str, str]) -> None:
    answer = send(quick_api.browser("admin"), "/users", "/users/owner/limits", form)
    assert answer.status_code == 422
    assert 'id="user-problem"' in answer.text


def test_a_high_priority_is_refused_beside_its_field(quick_api: Api) -> None:
    text = "kind: train\nmodel: mlp\ndataset: digits\npriority: high\n"
    answer = send(quick_api.browser(), "/submit", "/submit", {"spec": text})
    assert answer.status_code == 422
    assert "high is for administrators." in answer.text
