"""Who gets in: roles over the whole URL map, Host, Origin, form tokens, errors, headers."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from api.security.roles import UndeclaredRoute, access_of, allow, require_declarations
from db.engine import Database
from labpool.catalog import Catalog
from tests.support.api import TRAIN, Api, make_api, problem_of

pytest_plugins = ["tests.support.api_fixtures"]

# The whole surface: a new route, or another role, is a change that somebody has to write down.
ROLES = {
    "GET /": "member",
    "GET /account": "member",
    "GET /api/v1/boards": "member",
    "GET /api/v1/boards/<name>": "member",
    "GET /api/v1/boards/<name>/csv": "member",
    "GET /api/v1/catalog": "member",
    "GET /api/v1/catalog/<room>/<name>": "member",
    "GET /api/v1/experiments": "member",
    "GET /api/v1/experiments/<row:experiment_id>": "member",
    "GET /api/v1/experiments/<row:experiment_id>/sweep": "member",
    "GET /api/v1/health": "public",
    "GET /api/v1/openapi.json": "public",
    "GET /api/v1/pool": "member",
    "GET /api/v1/pool/queue": "member",
    "GET /api/v1/ready": "public",
    "GET /api/v1/specs/schema": "public",
    "GET /api/v1/stream": "member",
    "GET /api/v1/tokens": "member",
    "GET /api/v1/trials": "member",
    "GET /api/v1/trials/<row:trial_id>": "member",
    "GET /api/v1/trials/<row:trial_id>/artifacts": "member",
    "GET /api/v1/trials/<row:trial_id>/artifacts/<row:artifact_id>": "member",
    "GET /api/v1/trials/<row:trial_id>/checkpoints": "member",
    "GET /api/v1/trials/<row:trial_id>/checkpoints/<row:checkpoint_id>": "member",
    "GET /api/v1/trials/<row:trial_id>/events": "member",
    "GET /api/v1/trials/<row:trial_id>/log": "member",
    "GET /api/v1/trials/<row:trial_id>/metrics": "member",
    "GET /api/v1/trials/<row:trial_id>/predictions/<row:prediction_id>": "member",
    "GET /api/v1/trials/<row:trial_id>/source": "member",
    "GET /api/v1/trials/<row:trial_id>/why": "member",
    "GET /api/v1/users": "admin",
    "GET /api/v1/users/me": "member",
    "GET /boards/<name>": "member",
    "GET /compare": "member",
    "GET /experiments": "member",
    "GET /experiments/<row:experiment_id>": "member",
    "GET /pool": "member",
    "GET /sign-in": "public",
    "GET /static/<path:name>": "public",
    "GET /submit": "member",
    "GET /trials": "member",
    "GET /trials/<row:trial_id>": "member",
    "GET /trials/<row:trial_id>/pictures/<row:artifact_id>": "member",
    "GET /trials/<row:trial_id>/predictions/<row:prediction_id>": "member",
    "GET /users": "admin",
    "PATCH /api/v1/trials/<row:trial_id>": "member",
    "PATCH /api/v1/users/<name>": "admin",
    "POST /account/sign-out-everywhere": "member",
    "POST /account/tokens": "member",
    "POST /account/tokens/<row:token_id>/revoke": "member",
    "POST /api/v1/experiments": "member",
    "POST /api/v1/experiments/<row:experiment_id>/cancel": "member",
    "POST /api/v1/experiments/<row:experiment_id>/pause": "member",
    "POST /api/v1/experiments/<row:experiment_id>/resume": "member",
    "POST /api/v1/experiments/<row:experiment_id>/stop": "member",
    "POST /api/v1/experiments/<row:experiment_id>/trials": "member",
    "POST /api/v1/pool/quarantines/<device>/clear": "admin",
    "POST /api/v1/pool/workers/<worker>/drain": "admin",
    "POST /api/v1/pool/workers/<worker>/undrain": "admin",
    "POST /api/v1/specs/forecast": "member",
    "POST /api/v1/specs/validate": "member",
    "POST /api/v1/tokens": "member",
    "POST /api/v1/trials/<row:trial_id>/cancel": "member",
    "POST /api/v1/trials/<row:trial_id>/pause": "member",
    "POST /api/v1/trials/<row:trial_id>/predictions": "member",
    "POST /api/v1/trials/<row:trial_id>/resume": "member",
    "POST /api/v1/trials/<row:trial_id>/stop": "member",
    "POST /api/v1/trials/<row:trial_id>/rerun": "member",
    "POST /api/v1/trials/<row:trial_id>/retry": "member",
    "POST /api/v1/users": "admin",
    "POST /api/v1/users/<name>/sign-in-link": "admin",
    "POST /experiments/<row:experiment_id>/cancel": "member",
    "POST /experiments/<row:experiment_id>/pause": "member",
    "POST /experiments/<row:experiment_id>/resume": "member",
    "POST /experiments/<row:experiment_id>/stop": "member",
    "POST /pool/quarantines/<device>/clear": "admin",
    "POST /pool/workers/<worker>/drain": "admin",
    "POST /pool/workers/<worker>/undrain": "admin",
    "POST /sign-in": "public",
    "POST /sign-out": "public",
    "POST /submit": "member",
    "POST /submit/form": "member",
    "POST /trials/<row:trial_id>/cancel": "member",
    "POST /trials/<row:trial_id>/pause": "member",
    "POST /trials/<row:trial_id>/predictions": "member",
    "POST /trials/<row:trial_id>/resume": "member",
    "POST /trials/<row:trial_id>/stop": "member",
    "POST /trials/<row:trial_id>/rerun": "member",
    "POST /trials/<row:trial_id>/retry": "member",
    "POST /trials/<row:trial_id>/priority": "member",
    "POST /users": "admin",
    "POST /users/<name>/disable": "admin",
    "POST /users/<name>/enable": "admin",
    "POST /users/<name>/limits": "admin",
    "POST /users/<name>/link": "admin",
    "POST /users/<name>/role": "admin",
    "DELETE /api/v1/tokens/<row:token_id>": "member",
    "POST /api/v1/uploads": "member",
    "POST /api/v1/uploads/<row:upload_id>/share": "member",
    "GET /api/v1/uploads": "member",
    "GET /api/v1/uploads/<row:upload_id>": "member",
    "DELETE /api/v1/uploads/<row:upload_id>": "member",
    "GET /datasets": "member",
    "POST /datasets": "member",
    "POST /datasets/uploads/<row:upload_id>/delete": "member",
    "POST /datasets/uploads/<row:upload_id>/share": "member",
    "GET /datasets/<name>": "member",
    "GET /datasets/<owner>/<name>": "member",
    "GET /datasets/<name>/picture": "member",
    "GET /datasets/<owner>/<name>/picture": "member",
}
# Read-only answers that our own pages fetch or link to: here, and only here, the cookie will do.
BY_SESSION = {
    "GET /api/v1/boards/<name>/csv",
    "GET /api/v1/catalog",
    "GET /api/v1/catalog/<room>/<name>",
    "GET /api/v1/experiments/<row:experiment_id>/sweep",
    "GET /api/v1/stream",
    "GET /api/v1/trials/<row:trial_id>/artifacts/<row:artifact_id>",
    "GET /api/v1/trials/<row:trial_id>/checkpoints/<row:checkpoint_id>",
    "GET /api/v1/trials/<row:trial_id>/events",
    "GET /api/v1/trials/<row:trial_id>/log",
    "GET /api/v1/trials/<row:trial_id>/metrics",
    "GET /api/v1/trials/<row:trial_id>/predictions/<row:prediction_id>",
    "GET /api/v1/trials/<row:trial_id>/source",
    "GET /api/v1/users/me",
}


# A POST that stores nothing, which the submit page makes as one types: the cookie and the page's
# form token will do.
BY_FORM_TOKEN = {"POST /api/v1/specs/validate"}


def rules(app: Flask) -> list[tuple[str, str, Rule]]:
    return [
        (f"{method} {rule.rule}", method, rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def address(rule: Rule) -> str:
    """An address that the rule matches, of something that is not there."""
    if rule.rule == "/api/v1/stream":
        return f"{rule.rule}?topics=trial:999"
    parts = rule.rule.split("/")
    return "/".join(
        "999" if part.startswith("<row:") else "models" if part == "<room>" else part.strip("<>")
        for part in parts
    ).replace("path:name", "nothing.css")


def test_it_works(quick_api: Api) -> None:
    found = {}
    for name, _, rule in rules(quick_api.app):
        access = access_of(quick_api.app, rule.endpoint)
        assert access is not None, name
        found[name] = access.role
        assert access.session == (name in BY_SESSION), name
        assert access.form_token == (name in BY_FORM_TOKEN), name
    assert found == ROLES


def test_nobody_without_a_token_gets_anywhere(api: Api) -> None:
    before = api.stored()
    for name, method, rule in rules(api.app):
        if ROLES[name] == "public":
            continue
        answer = api.app.test_client().open(address(rule), method=method)
        if rule.rule.startswith("/api/"):
            problem_of(answer, 401)
        elif method == "GET":
            assert answer.status_code == 303, name
            assert answer.headers["Location"].startswith("/sign-in?next=/"), name
        else:
            assert answer.status_code == 401, name
    assert api.stored() == before


def test_members_reach_no_admin_route(api: Api) -> None:
    for name, method, rule in rules(api.app):
        if ROLES[name] != "admin":
            continue
        if rule.rule.startswith("/api/"):
            answer = api.teammate.send(method, address(rule), b"{}", "application/json")
            problem_of(answer, 403)
        elif method == "GET":
            assert api.browser("teammate").get(address(rule)).status_code == 403, name
        else:
            browser = api.browser("teammate")
            token = browser.form_token("/account")
            answer = browser.send(address(rule), {"csrf_token": token, "role": "admin"})
            assert answer.status_code == 403, name
            assert "needs the role admin; you are a member" in answer.text


def test_the_cookie_opens_only_what_pages_need(api: Api) -> None:
    browser = api.browser("admin")
    for name, method, rule in rules(api.app):
        if not rule.rule.startswith("/api/") or ROLES[name] == "public":
            continue
        answer = browser.client.open(
            address(rule), method=method, headers={"Sec-Fetch-Site": "same-origin"}
        )
        if name in BY_SESSION:
            assert answer.status_code in (200, 404), name
        else:
            problem_of(answer, 401)


def test_the_submit_pages_check_takes_the_cookie_with_the_forms_token(quick_api: Api) -> None:
    browser = quick_api.browser()
    path, body = "/api/v1/specs/validate", json.dumps(TRAIN)
    token = browser.form_token("/submit")
    assert token
    ours = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    def check(headers: dict[str, str]) -> Any:
        return browser.client.post(path, data=body, headers={**headers, **JSON})

    good = check({**ours, "X-CSRF-Token": token})
    assert good.status_code == 200
    assert good.get_json()["trial_count"] == 1
    problem_of(check(ours), 401)
    problem_of(check({**ours, "X-CSRF-Token": "0" * 64}), 403)
    stolen = quick_api.browser("teammate").form_token("/submit")
    problem_of(check({**ours, "X-CSRF-Token": stolen}), 403)
    evil = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    problem_of(check({**evil, "X-CSRF-Token": token}), 403)
    # It opens nothing else.
    made = browser.client.post(
        "/api/v1/experiments", data=body, headers={**ours, **JSON, "X-CSRF-Token": token}
    )
    problem_of(made, 401)
    signed_out = quick_api.app.test_client()
    answer = signed_out.post(path, data=body, headers={**ours, **JSON, "X-CSRF-Token": token})
    problem_of(answer, 401)


JSON = {"Content-Type": "application/json"}


def test_the_cookie_opens_nothing_to_other_sites(quick_api: Api) -> None:
    browser = quick_api.browser()
    for site in ("cross-site", "same-site"):
        answer = browser.get("/api/v1/users/me", Sec_Fetch_Site=site)
        problem_of(answer, 401)
    assert browser.get("/api/v1/users/me", Sec_Fetch_Site="none").status_code == 200


def test_a_wrong_header_is_not_saved_by_a_cookie(quick_api: Api) -> None:
    problem_of(quick_api.browser().get("/api/v1/users/me", Authorization="Bearer lp_1_no"), 401)


def test_a_silent_route_stops_the_application() -> None:
    app = Flask("silent", static_folder=None)
    app.add_url_rule("/open", "open", allow("public")(lambda: "x"))
    require_declarations(app)
    app.add_url_rule("/forgotten", "forgotten", lambda: "x")
    with pytest.raises(UndeclaredRoute, match="/forgotten"):
        require_declarations(app)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8642",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "localhost@evil.example",
        "localhost:80:80",
        "[::1",
        "[::2]",
        "",
        "lab pool",
        "localhost/",
    ],
)
def test_other_host_names_are_refused(quick_api: Api, host: str) -> None:
    for path in ("/", "/api/v1/health", "/api/v1/experiments", "/static/live.js", "/nothing"):
        answer = quick_api.owner.get(path, {"Host": host, "Accept": "application/json"})
        problem_of(answer, 421)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8642", "127.0.0.1:1", "[::1]:8642", "localhost."]
)
def test_names_of_this_machine_are_answered(quick_api: Api, host: str) -> None:
    assert quick_api.owner.get("/api/v1/health", {"Host": host}).status_code == 200


def test_the_labs_own_names_are_answered(sqlite_url: str, catalog: Catalog, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    api = make_api(
        database, catalog, tmp_path, host=EVERYWHERE, allowed_hosts=("pool.lab", "fd00::7")
    )
    for host in ("pool.lab", "POOL.lab:8642", "[fd00::7]:8642", "localhost"):
        assert api.owner.get("/api/v1/health", {"Host": host}).status_code == 200
    # The address to bind is no name to be called by.
    problem_of(api.owner.get("/api/v1/health", {"Host": EVERYWHERE}), 421)
    database.dispose()


EVERYWHERE = "0.0.0.0"  # noqa: S104 - nothing is bound
FORMS = [
    "/experiments/{experiment}/cancel",
    "/experiments/{experiment}/pause",
    "/experiments/{experiment}/resume",
    "/experiments/{experiment}/stop",
    "/trials/{trial}/cancel",
    "/trials/{trial}/pause",
    "/trials/{trial}/resume",
    "/trials/{trial}/retry",
]


@pytest.mark.parametrize("form", FORMS)
def test_forms_need_their_token(quick_api: Api, form: str) -> None:
    experiment, [trial] = quick_api.submitted()
    if form.endswith("retry"):
        quick_api.owner.post(f"/api/v1/trials/{trial}/cancel")
    path = form.format(experiment=experiment, trial=trial)
    browser = quick_api.browser()
    other = quick_api.browser("teammate")
    page = f"/experiments/{experiment}"
    before = quick_api.owner.get(f"/api/v1/trials?experiment={experiment}").get_json()

    for given in ({}, {"csrf_token": ""}, {"csrf_token": "0" * 64}, {"csrf_token": "ä"}):
        assert browser.send(path, given).status_code == 403
    stolen = other.form_token(page)
    assert stolen
    assert browser.send(path, {"csrf_token": stolen}).status_code == 403
    after = quick_api.owner.get(f"/api/v1/trials?experiment={experiment}").get_json()
    assert after == before

    token = browser.form_token(page)
    assert browser.send(path, {"csrf_token": token}).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "file://localhost", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_forms_of_other_sites_are_refused(quick_api: Api, headers: dict[str, str]) -> None:
    _, [trial] = quick_api.submitted()
    browser = quick_api.browser()
    token = browser.form_token(f"/trials/{trial}")
    answer = browser.send(f"/trials/{trial}/cancel", {"csrf_token": token}, headers)

    assert answer.status_code == 403
    assert quick_api.owner.get(f"/api/v1/trials/{trial}").get_json()["state"] == "queued"


def test_a_page_says_403_to_who_may_not_change(quick_api: Api) -> None:
    _, [trial] = quick_api.submitted()
    browser = quick_api.browser("teammate")
    token = browser.form_token(f"/trials/{trial}")
    answer = browser.send(f"/trials/{trial}/cancel", {"csrf_token": token})

    assert answer.status_code == 403
    assert answer.mimetype == "text/html"
    assert "Only the owner" in answer.text


def test_every_answer_carries_the_security_headers(quick_api: Api) -> None:
    browser = quick_api.browser()
    for path in ("/", "/nothing", "/sign-in", "/static/live.js", "/api/v1/health", "/api/v1/no"):
        answer = browser.get(path)
        answer.close()
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        # Not "no-referrer": browsers would then send "Origin: null" with our own forms.
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Request-Id"]
        assert headers["Cache-Control"]
    assert "no-store" in browser.get("/").headers["Cache-Control"]


def test_an_unexpected_error_shows_its_id_and_nothing_else(
    quick_api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr("api.routes.trials.trials_page", broken)
    monkeypatch.setattr("api.pages.boards.board_rows", broken)
    with caplog.at_level(logging.ERROR, logger="labpool.api"):
        answer = quick_api.owner.get("/api/v1/trials")
        problem = problem_of(answer, 500)
        page = quick_api.browser().get("/")

    assert "swordfish" not in answer.text
    assert problem["request_id"] in caplog.text
    assert "swordfish" in caplog.text
    assert page.status_code == 500
    assert page.mimetype == "text/html"
    assert "swordfish" not in page.text
    assert page.headers["X-Request-Id"] in page.text


def test_the_apis_own_errors_are_problems_too(quick_api: Api) -> None:
    owner = quick_api.owner
    problem_of(owner.get("/api/v1/nothing"), 404)
    problem_of(owner.get("/api/v1/../../etc/passwd"), 404)
    wrong = owner.send("PUT", "/api/v1/experiments", b"{}", "application/json")
    problem_of(wrong, 405)
    assert wrong.headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    # A trace or a preflight of another site gets nothing either.
    assert "Access-Control-Allow-Origin" not in owner.get("/api/v1/health").headers


def test_a_page_that_is_not_there_is_a_page(quick_api: Api) -> None:
    answer = quick_api.browser().get("/nothing")
    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text
    as_json = quick_api.browser().get("/nothing", Accept="application/json")
    assert json.loads(as_json.data)["status"] == 404


def test_static_files_stay_in_their_folder(quick_api: Api) -> None:
    for path in ("../app.py", "%2e%2e/app.py", "..%2fapp.py", "etc/passwd", "nothing.css"):
        assert quick_api.anonymous.get(f"/static/{path}").status_code == 404
    served = quick_api.anonymous.get("/static/tokens.css")
    served.close()
    assert served.headers["Cache-Control"] == "no-cache"
    named = quick_api.anonymous.get("/static/tokens.css?v=1")
    named.close()
    assert "immutable" in named.headers["Cache-Control"]


def test_what_people_write_is_shown_as_text(quick_api: Api) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    experiment, [trial] = quick_api.submitted({**TRAIN, "name": hostile, "notes": hostile})
    browser = quick_api.browser()
    for path in ("/experiments", f"/experiments/{experiment}", f"/trials/{trial}", "/pool"):
        page = browser.get(path).text
        assert "<script>alert" not in page
        if path != "/pool":
            assert "&lt;script&gt;alert(1)" in page
