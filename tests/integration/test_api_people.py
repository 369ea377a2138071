"""Users and tokens."""

from __future__ import annotations

import pytest

from tests.support.api import Api, Person, problem_of

pytest_plugins = ["tests.support.api_fixtures"]


def speaks_as(api: Api, token: str) -> Person:
    return Person(api.app.test_client(use_cookies=False), "somebody", token)


def test_it_works(api: Api) -> None:
    added = api.admin.post("/api/v1/users", {"name": "grace", "role": "member"})
    assert added.status_code == 201
    assert added.get_json()["name"] == "grace"
    names = [user["name"] for user in api.admin.get("/api/v1/users").get_json()["users"]]
    assert names == ["admin", "grace", "owner", "teammate"]

    made = api.owner.post("/api/v1/tokens", {"label": "notebook", "lifetime_s": 3600})
    assert made.status_code == 201
    assert made.headers["Cache-Control"] == "no-store"
    secret = made.get_json()["secret"]
    assert speaks_as(api, secret).get("/api/v1/users/me").get_json()["name"] == "owner"
    listed = api.owner.get("/api/v1/tokens")
    assert secret not in listed.text
    assert [token["label"] for token in listed.get_json()["tokens"]] == ["notebook", "test"]

    token_id = made.get_json()["token"]["id"]
    assert (
        api.owner.client.delete(
            f"/api/v1/tokens/{token_id}", headers={"Authorization": f"Bearer {api.owner.token}"}
        ).status_code
        == 204
    )
    problem_of(speaks_as(api, secret).get("/api/v1/users/me"), 401)


def test_only_admins_manage_users(api: Api) -> None:
    for person, status in ((api.owner, 403), (api.anonymous, 401)):
        problem_of(person.get("/api/v1/users"), status)
        problem_of(person.post("/api/v1/users", {"name": "eve"}), status)
        problem_of(person.post("/api/v1/users/admin/sign-in-link"), status)
        change = person.send(
            "PATCH", "/api/v1/users/teammate", '{"disabled": true}', "application/json"
        )
        problem_of(change, status)


def test_a_disabled_user_is_shut_out_at_once(api: Api) -> None:
    browser = api.browser("teammate")
    assert browser.get("/experiments").status_code == 200
    path = "/api/v1/users/teammate"
    shut = api.admin.send("PATCH", path, '{"disabled": true}', "application/json")
    assert shut.get_json()["disabled_at"]

    problem_of(api.teammate.get("/api/v1/users/me"), 401)
    assert browser.get("/experiments").status_code == 303
    api.admin.send("PATCH", path, '{"disabled": false}', "application/json")
    assert api.teammate.get("/api/v1/users/me").status_code == 200


def test_the_last_admin_cannot_shut_themselves_out(api: Api) -> None:
    answer = api.admin.send(
        "PATCH", "/api/v1/users/admin", '{"disabled": true}', "application/json"
    )
    problem_of(answer, 409)
    assert api.admin.get("/api/v1/users").status_code == 200


def test_members_revoke_their_own_tokens_only(api: Api) -> None:
    token = api.owner.post("/api/v1/tokens", {}).get_json()["token"]["id"]
    path = f"/api/v1/tokens/{token}"

    problem_of(api.teammate.send("DELETE", path, b"", ""), 404)
    assert api.admin.send("DELETE", path, b"", "").status_code == 204
    problem_of(api.admin.send("DELETE", path, b"", ""), 404)


def test_a_token_expires(api: Api) -> None:
    from tests.support.pool import step_clock

    secret = api.owner.post("/api/v1/tokens", {"lifetime_s": 60}).get_json()["secret"]
    person = speaks_as(api, secret)
    assert person.get("/api/v1/users/me").status_code == 200
    step_clock(api.database, 61)
    problem_of(person.get("/api/v1/users/me"), 401)


def test_use_is_noted(quick_api: Api) -> None:
    quick_api.owner.get("/api/v1/users/me")
    [token] = quick_api.owner.get("/api/v1/tokens").get_json()["tokens"]

    assert token["used_at"] is not None


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "Grace"}, "/name"),
        ({"name": "a" * 99}, "/name"),
        ({"name": "../x"}, "/name"),
        ({"name": "grace", "role": "root"}, "/role"),
        ({"name": "grace", "admin": True}, "/admin"),
        ({"name": 7}, "/name"),
    ],
)
def test_bad_users_are_refused(quick_api: Api, body: dict[str, object], pointer: str) -> None:
    problem = problem_of(quick_api.admin.post("/api/v1/users", body), 422)

    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_name_is_taken_once(quick_api: Api) -> None:
    problem_of(quick_api.admin.post("/api/v1/users", {"name": "owner"}), 409)


@pytest.mark.parametrize("lifetime", [0, -1, 1e12, "long", True, {"a": 1}], ids=str)
def test_bad_tokens_are_refused(quick_api: Api, lifetime: object) -> None:
    problem = problem_of(quick_api.owner.post("/api/v1/tokens", {"lifetime_s": lifetime}), 422)
    assert problem["errors"][0]["pointer"] == "/lifetime_s"


@pytest.mark.parametrize(
    ("data", "media_type", "status"),
    [
        ("{", "application/json", 400),
        ("[]", "application/json", 422),
        ("{}", "text/plain", 415),
        ("name: x", "application/yaml", 415),
        ('{"name": NaN}', "application/json", 422),
        ("[" * 50_000, "application/json", 400),
    ],
)
def test_bad_bodies_are_refused(quick_api: Api, data: str, media_type: str, status: int) -> None:
    problem_of(quick_api.admin.send("POST", "/api/v1/users", data, media_type), status)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer lp_1_x",
        "Basic b3duZXI6eA==",
        "Bearer lp_99999999999999999999_" + "a" * 43,
        "Bearer lp_1_" + "a" * 43,
        "Bearer " + "x" * 5000,
        "Bearer \xff\xfe",
        "Bearer lp_1_" + "a" * 43 + " more",
    ],
)
def test_what_is_no_token_lets_nobody_in(api: Api, value: str) -> None:
    answer = api.app.test_client().get("/api/v1/users/me", headers={"Authorization": value})
    problem_of(answer, 401)


def test_a_token_is_good_for_its_purpose_alone(api: Api) -> None:
    from db import users

    with api.database.transaction() as session:
        user = users.find_user(session, "owner")
        assert user is not None
        texts = [
            users.issue_token(session, user, purpose, "", None)[1]
            for purpose in ("session", "sign_in")
        ]
    for text in texts:
        problem_of(speaks_as(api, text).get("/api/v1/users/me"), 401)
    client = api.app.test_client()
    client.set_cookie("labpool_session_8642", api.owner.token or "", domain="localhost")
    assert client.get("/experiments").status_code == 303
