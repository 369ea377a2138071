"""Account, users, and signing in: plain forms, as a browser without JavaScript sends them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from db import users
from db.models import Token
from tests.integration.test_api_pages import Outline
from tests.support.api import TRAIN, Api, Browser, Person
from tests.support.pool import step_clock

pytest_plugins = ["tests.support.api_fixtures"]

COOKIE = "labpool_session_8642"
HOSTILE = "<script>alert(1)</script>\"'&"


def post(browser: Browser, path: str, **form: str) -> Any:
    return browser.send(path, {"csrf_token": browser.form_token("/account"), **form})


def secret_on(page: str) -> str:
    found = re.search(r'id="secret" readonly value="([^"]+)"', page)
    assert found is not None
    return found[1]


def speaks_as(api: Api, token: str) -> Person:
    return Person(api.app.test_client(use_cookies=False), "somebody", token)


def tokens_of(api: Api, name: str) -> list[Token]:
    with api.database.snapshot() as session:
        user = users.find_user(session, name)
        assert user is not None
        return list(users.list_tokens(session, user))


def test_it_works(api: Api) -> None:
    browser = api.browser()
    made = post(browser, "/account/tokens", label="my notebook", lifetime="30d")

    assert made.status_code == 200
    assert "no-store" in made.headers["Cache-Control"]
    secret = secret_on(made.text)
    assert speaks_as(api, secret).get("/api/v1/users/me").get_json()["name"] == "owner"
    listed = browser.get("/account").text
    assert secret not in listed
    assert "my notebook" in listed
    token = tokens_of(api, "owner")[0]
    assert token.expires_at == pytest.approx(token.created_at + 30 * 86400)

    revoked = post(browser, f"/account/tokens/{token.id}/revoke")
    assert revoked.headers["Location"] == "/account"
    assert speaks_as(api, secret).get("/api/v1/users/me").status_code == 401
    row = browser.get("/account").text.partition(f'id="token-{token.id}"')[2].partition("</tr>")[0]
    assert "revoked" in row
    assert "<form" not in row


@pytest.mark.parametrize("path", ["/account", "/users", "/sign-in", "/sign-in?token=lp_1_x"])
def test_pages_are_well_formed_and_keep_the_policy(quick_api: Api, path: str) -> None:
    page = quick_api.browser("admin").get(path)
    outline = Outline(page.text)

    assert page.status_code == 200
    assert outline.bad == []
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.levels[0] == 1
    assert "None" not in re.sub(r"<[^>]+>", "", page.text)


def test_a_tokens_use_and_end_are_shown(quick_api: Api) -> None:
    browser = quick_api.browser()
    page = post(browser, "/account/tokens", label="short", lifetime="1d").text
    token = tokens_of(quick_api, "owner")[0]

    def row() -> str:
        page = browser.get("/account").text
        return page.partition(f'id="token-{token.id}"')[2].partition("</tr>")[0]

    assert row().count("never") == 1  # used; it ends
    speaks_as(quick_api, secret_on(page)).get("/api/v1/users/me")
    assert "never" not in row()
    step_clock(quick_api.database, 86401)
    assert "expired" in row()


@pytest.mark.parametrize("label", ["", "   ", "x" * 121, "a\nb", "\x7f"])
def test_a_bad_label_comes_back(quick_api: Api, label: str) -> None:
    browser = quick_api.browser()
    before = len(tokens_of(quick_api, "owner"))
    answer = post(browser, "/account/tokens", label=label, lifetime="365d")

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert '<option value="365d" selected' in answer.text
    assert len(tokens_of(quick_api, "owner")) == before
    assert post(browser, "/account/tokens", label="good", lifetime="8d").status_code == 422


def test_labels_are_shown_as_text(quick_api: Api) -> None:
    browser = quick_api.browser()
    made = post(browser, "/account/tokens", label=HOSTILE, lifetime="never")

    for page in (made.text, browser.get("/account").text):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_one_sees_and_revokes_only_ones_own(quick_api: Api) -> None:
    theirs = tokens_of(quick_api, "teammate")[0]
    for name in ("owner", "admin"):
        browser = quick_api.browser(name)
        assert f"lp_{theirs.id}_" not in browser.get("/account").text
        assert post(browser, f"/account/tokens/{theirs.id}/revoke").status_code == 404
        assert post(browser, "/account/tokens/999/revoke").status_code == 404
    assert quick_api.teammate.get("/api/v1/users/me").status_code == 200


def test_revoking_twice_is_no_error(quick_api: Api) -> None:
    browser = quick_api.browser()
    token = tokens_of(quick_api, "owner")[0]
    for _ in range(2):
        assert post(browser, f"/account/tokens/{token.id}/revoke").status_code == 303


def test_a_session_is_no_token_to_revoke_here(quick_api: Api) -> None:
    browser = quick_api.browser()
    with quick_api.database.snapshot() as session:
        row = session.scalars(select(Token).where(Token.purpose == "session")).one()
    assert post(browser, f"/account/tokens/{row.id}/revoke").status_code == 404


def test_signing_out_everywhere(api: Api) -> None:
    here, there, theirs = api.browser(), api.browser(), api.browser("teammate")
    assert "Signed in with 2 browsers" in here.get("/account").text
    answer = post(here, "/account/sign-out-everywhere")

    assert answer.headers["Location"] == "/sign-in?done=1"
    for browser in (here, there):
        assert browser.get("/").status_code == 303
    assert theirs.get("/").status_code == 200
    # API tokens are another matter.
    assert api.owner.get("/api/v1/users/me").status_code == 200


FORMS = [
    "/account/tokens",
    "/account/tokens/1/revoke",
    "/account/sign-out-everywhere",
    "/users",
    "/users/teammate/link",
    "/users/teammate/disable",
    "/users/teammate/enable",
    "/users/teammate/role",
]


@pytest.mark.parametrize("path", FORMS)
def test_forms_need_their_token(quick_api: Api, path: str) -> None:
    browser = quick_api.browser("admin")
    form = {"label": "x", "lifetime": "1d", "name": "eve", "role": "admin"}
    stolen = quick_api.browser("owner").form_token("/account")
    for token in ({}, {"csrf_token": "0" * 64}, {"csrf_token": stolen}):
        assert browser.send(path, {**form, **token}).status_code == 403
    good = {**form, "csrf_token": browser.form_token("/account")}
    assert browser.send(path, good, {"Origin": "http://evil.example"}).status_code == 403
    with quick_api.database.snapshot() as session:
        teammate = users.find_user(session, "teammate")
        assert teammate is not None
        assert (teammate.role, teammate.disabled_at) == ("member", None)
        assert users.find_user(session, "eve") is None


def test_an_admin_adds_somebody_who_signs_in(api: Api) -> None:
    admin = api.browser("admin")
    page = post(admin, "/users", name="grace", role="member")
    assert page.status_code == 200
    link = secret_on(page.text)
    assert link.startswith("http://localhost/sign-in?token=lp_")
    assert link not in admin.get("/users").text

    client = api.app.test_client()
    form = client.get(link.removeprefix("http://localhost"))
    answer = client.post("/sign-in", data=fields(form.text), headers=OURS)
    assert answer.status_code == 303
    assert ">grace</a>" in client.get("/").text
    assert "/users" not in client.get("/").text
    assert client.get("/users").status_code == 403
    assert '<a href="/users"' in admin.get("/").text


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("owner", 409, "exists"),
        ("Grace", 422, "small letter"),
        ("", 422, "small letter"),
        (HOSTILE, 422, "small letter"),
        ("a" * 64, 422, "small letter"),
    ],
)
def test_a_name_that_will_not_do_comes_back(
    quick_api: Api, name: str, status: int, said: str
) -> None:
    answer = post(quick_api.browser("admin"), "/users", name=name, role="admin")

    assert answer.status_code == status
    assert said in answer.text
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    assert "<option selected>admin" in answer.text
    assert 'id="secret"' not in answer.text


def test_an_admin_disables_and_enables(api: Api) -> None:
    admin, theirs = api.browser("admin"), api.browser("teammate")
    assert post(admin, "/users/teammate/disable").headers["Location"] == "/users"
    assert theirs.get("/").status_code == 303
    assert api.teammate.get("/api/v1/users/me").status_code == 401
    assert "disabled" in admin.get("/users").text.partition('id="user-teammate"')[2]
    assert post(admin, "/users/teammate/link").status_code == 409

    assert post(admin, "/users/teammate/enable").status_code == 303
    assert api.teammate.get("/api/v1/users/me").status_code == 200
    # What was signed in before stays signed out.
    assert theirs.get("/").status_code == 303


def test_an_admin_gives_and_takes_the_role(api: Api) -> None:
    admin = api.browser("admin")
    post(admin, "/users/teammate/role", role="admin")
    other = api.browser("teammate")
    assert other.get("/users").status_code == 200
    post(other, "/users/admin/role", role="member")
    assert admin.get("/users").status_code == 403
    assert post(other, "/users/owner/role", role="king").status_code == 422


def test_admins_do_not_lock_themselves_out(api: Api) -> None:
    admin = api.browser("admin")
    for verb, form in (("disable", {}), ("role", {"role": "member"})):
        answer = post(admin, f"/users/admin/{verb}", **form)
        assert answer.status_code == 409
        assert "another administrator" in answer.text
    with api.database.transaction() as session:
        for refused in (
            lambda: users.set_user_role(session, "admin", "member"),
            lambda: users.set_user_disabled(session, "admin", True),
        ):
            with pytest.raises(users.NotPossible, match="last active admin"):
                refused()
    assert admin.get("/users").status_code == 200


@pytest.mark.parametrize("verb", ["link", "disable", "enable", "role"])
def test_nobody_by_that_name(quick_api: Api, verb: str) -> None:
    answer = post(quick_api.browser("admin"), f"/users/nobody/{verb}", role="member")
    assert answer.status_code == 409
    assert "there is no user &#39;nobody&#39;" in answer.text


OURS = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the sign-in form."""
    form = page.partition('action="/sign-in"')[2]
    found = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: value.replace("&amp;", "&") for name, value in found}


def link_for(api: Api, lifetime_s: float = 600) -> str:
    with api.database.transaction() as session:
        user = users.find_user(session, "owner")
        assert user is not None
        return users.issue_token(session, user, "sign_in", "link", lifetime_s)[1]


def sign_in(client: FlaskClient, **form: str) -> Any:
    page = client.get("/sign-in").text
    return client.post("/sign-in", data={**fields(page), **form}, headers=OURS)


def test_each_refusal_says_what_to_do(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    used = link_for(quick_api)
    assert sign_in(quick_api.app.test_client(), token=used).status_code == 303
    old, revoked, off = link_for(quick_api), link_for(quick_api), link_for(quick_api, 10**6)
    with quick_api.database.transaction() as session:
        token = session.get_one(Token, int(revoked.split("_")[1]))
        token.revoked_at = token.created_at
    said = {used: "used already", revoked: "has been revoked", off[:-1] + "!": "not copied whole"}
    wrong_secret = used[:-2] + ("aa" if not used.endswith("aa") else "bb")
    said[wrong_secret] = "not one of this pool"
    step_clock(quick_api.database, 601)
    said[old] = "too old"
    for text, words in said.items():
        answer = sign_in(client, token=text)
        assert answer.status_code == 403
        assert words in answer.text, words
        assert 'role="alert"' in answer.text
        assert text not in answer.text
    with quick_api.database.transaction() as session:
        users.set_user_disabled(session, "owner", True)
    assert "account is disabled" in sign_in(client, token=off).text
    assert quick_api.owner.token is not None
    assert "account is disabled" in sign_in(client, api_token=quick_api.owner.token).text


def test_typed_tokens_are_refused_with_reasons(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    with quick_api.database.transaction() as session:
        user = users.find_user(session, "owner")
        assert user is not None
        _, ended = users.issue_token(session, user, "api", "old", 5.0)
        row, revoked = users.issue_token(session, user, "api", "gone", None)
        row.revoked_at = row.created_at
    step_clock(quick_api.database, 6)
    for text, words in (
        (ended, "has expired"),
        (revoked, "has been revoked"),
        ("nonsense", "not valid"),
        (link_for(quick_api), "not valid"),
        ("", "Paste an API token"),
    ):
        answer = sign_in(client, api_token=text)
        assert answer.status_code == 403
        assert words in answer.text
        assert client.get_cookie(COOKIE) is None


@pytest.mark.parametrize("form", [{"token": "lp_1_wrong"}, {"api_token": "wrong"}])
def test_a_refusal_keeps_where_one_was_going(quick_api: Api, form: dict[str, str]) -> None:
    answer = sign_in(quick_api.app.test_client(), **form, next="/submit?from=trial:1")
    assert fields(answer.text)["next"] == "/submit?from=trial:1"


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example", "///evil.example", "https://evil.example", "/\\evil.example",
        "javascript:alert(1)", "/a\r\nX: 1", "/\t/evil.example", "/" + "a" * 600, "evil.example",
        "/sign-in?next=/", "/sign-out", "\u2028//evil.example",
    ],
)  # fmt: skip
def test_one_goes_on_to_this_server_only(quick_api: Api, wanted: str) -> None:
    client = quick_api.app.test_client()
    page = client.get("/sign-in", query_string={"next": wanted})
    assert fields(page.text)["next"] == "/"
    answer = sign_in(client, token=link_for(quick_api), next=wanted)
    assert answer.headers["Location"] == "/"
    # And a signed-in reader's "go on" leads nowhere else either.
    again = client.get("/sign-in", query_string={"next": wanted}).text
    assert '<a href="/">Go on</a>' in again


def test_signing_in_anew_ends_the_old_session(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    sign_in(client, token=link_for(quick_api))
    old = client.get_cookie(COOKIE)
    assert old is not None
    sign_in(client, token=link_for(quick_api))
    assert client.get("/").status_code == 200
    copied = quick_api.app.test_client()
    copied.set_cookie(COOKIE, old.value, domain="localhost")
    assert copied.get("/").status_code == 303


def test_a_session_ends_by_itself(quick_api: Api) -> None:
    client = quick_api.app.test_client()
    sign_in(client, token=link_for(quick_api))
    step_clock(quick_api.database, 14 * 86400 - 60)
    assert client.get("/").status_code == 200
    step_clock(quick_api.database, 120)
    assert client.get("/").status_code == 303


def test_signing_out_says_so(quick_api: Api) -> None:
    browser = quick_api.browser()
    answer = post(browser, "/sign-out")
    assert answer.headers["Location"] == "/sign-in?done=1"
    assert "You are signed out" in browser.get("/sign-in?done=1").text
    assert "You are signed out" not in quick_api.browser().get("/sign-in?done=1").text


def test_a_page_left_open_after_signing_out_changes_nothing(quick_api: Api) -> None:
    _, [trial_id] = quick_api.submitted(TRAIN)
    browser = quick_api.browser()
    token = browser.form_token("/account")
    post(browser, "/sign-out")
    answer = browser.send(f"/trials/{trial_id}/cancel", {"csrf_token": token})
    assert answer.status_code == 401
    assert quick_api.owner.get(f"/api/v1/trials/{trial_id}").get_json()["state"] == "queued"
