"""Signing in and out on the pages."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from db import users
from tests.support.api import Api

pytest_plugins = ["tests.support.api_fixtures"]

COOKIE = "labpool_session_8642"


def link_for(api: Api, name: str = "owner", lifetime_s: float | None = 600) -> str:
    with api.database.transaction() as session:
        user = users.find_user(session, name)
        assert user is not None
        return users.issue_token(session, user, "sign_in", "link", lifetime_s)[1]


def hidden(page: str, name: str) -> str:
    return page.partition(f'name="{name}" value="')[2].partition('"')[0]


def send(client: FlaskClient, page: TestResponse, **form: str) -> TestResponse:
    given = {"csrf_token": hidden(page.text, "csrf_token"), **form}
    return client.post("/sign-in", data=given, headers={"Origin": "http://localhost"})


def test_it_works(api: Api) -> None:
    link = link_for(api)
    client = api.app.test_client()
    page = client.get(f"/sign-in?token={link}&next=/experiments")
    assert page.status_code == 200
    assert hidden(page.text, "token") == link
    assert "no-store" in page.headers["Cache-Control"]
    answer = send(client, page, token=link, next="/experiments")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/experiments"
    [cookie] = [value for value in answer.headers.getlist("Set-Cookie") if COOKIE in value]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    inside = client.get("/experiments")
    assert inside.status_code == 200
    assert "owner" in inside.text


def test_a_link_is_not_spent_by_looking_and_works_once(api: Api) -> None:
    link = link_for(api)
    for _ in range(3):
        api.app.test_client().get(f"/sign-in?token={link}")
    first, second = api.app.test_client(), api.app.test_client()
    assert send(first, first.get("/sign-in"), token=link).status_code == 303
    refused = send(second, second.get("/sign-in"), token=link)

    assert refused.status_code == 403
    assert "used already" in refused.text
    assert second.get("/").status_code == 303


def test_an_old_link_does_not_work(api: Api) -> None:
    from tests.support.pool import step_clock

    link = link_for(api, lifetime_s=600)
    step_clock(api.database, 601)
    client = api.app.test_client()
    assert send(client, client.get("/sign-in"), token=link).status_code == 403


def test_an_api_token_signs_in_too(api: Api) -> None:
    client = api.app.test_client()
    page = client.get("/sign-in")
    answer = send(client, page, api_token=f"  {api.owner.token}\n")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"
    session_token = client.get_cookie(COOKIE)
    assert session_token is not None
    assert session_token.value != api.owner.token
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("typed", ["", "lp_1_x", "x" * 3000, "lp_1_" + "a" * 43, "\x00"])
def test_what_is_no_token_does_not(quick_api: Api, typed: str) -> None:
    client = quick_api.app.test_client()
    answer = send(client, client.get("/sign-in"), api_token=typed)

    assert answer.status_code == 403
    assert "not valid" in answer.text
    assert client.get_cookie(COOKIE) is None


def test_a_foreign_site_cannot_sign_somebody_in(quick_api: Api) -> None:
    link = link_for(quick_api)
    client = quick_api.app.test_client()
    client.get("/sign-in")
    form = {"token": link, "csrf_token": "0" * 64}
    assert client.post("/sign-in", data=form).status_code == 403
    page = client.get("/sign-in")
    form["csrf_token"] = hidden(page.text, "csrf_token")
    evil = {"Origin": "http://evil.example"}
    assert client.post("/sign-in", data=form, headers=evil).status_code == 403
    # And the link is still good.
    assert send(client, page, token=link).status_code == 303


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", "/a\r\nX: 1", ""],
)
def test_one_goes_on_to_this_server_only(quick_api: Api, wanted: str) -> None:
    client = quick_api.app.test_client()
    answer = send(client, client.get("/sign-in"), token=link_for(quick_api), next=wanted)

    assert answer.headers["Location"] == "/"


def test_signing_out_ends_the_session_everywhere(api: Api) -> None:
    browser = api.browser()
    cookie = browser.client.get_cookie(COOKIE)
    assert cookie is not None
    token = browser.form_token("/")
    assert browser.send("/sign-out", {}).status_code == 403
    answer = browser.send("/sign-out", {"csrf_token": token})
    assert answer.status_code == 303

    copied = api.app.test_client()
    copied.set_cookie(COOKIE, cookie.value, domain="localhost")
    assert copied.get("/").status_code == 303


def test_a_fragment_says_401_when_signed_out(quick_api: Api) -> None:
    answer = quick_api.app.test_client().get("/experiments?fragment=1")
    assert answer.status_code == 401


def test_one_comes_back_to_where_one_was(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    away = client.get("/experiments?owner=a%26b")
    page = client.get(away.headers["Location"])
    wanted = hidden(page.text, "next").replace("&amp;", "&")

    assert wanted == "/experiments?owner=a%26b"
