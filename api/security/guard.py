"""The gate in front of every view: Host, role, Origin and form token, in this order."""

from __future__ import annotations

import secrets
from urllib.parse import quote

from flask import Flask, Response, g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from api.problems import ApiProblem, forbidden
from api.security import csrf, headers, hosts, identity
from api.security.roles import Access, access_of
from labpool.settings import Settings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def install(app: Flask, settings: Settings) -> None:
    """Put the gate in front of all of `app`'s views and the headers behind them."""
    names = hosts.allowed_names(settings)

    @app.before_request
    def pass_gate() -> BaseResponse | None:
        g.request_id = secrets.token_hex(8)
        hosts.check_host(names)
        if request.endpoint is None:
            # Flask goes on to answer 404 or 405: there is nothing to guard, only a page to frame.
            if not request.path.startswith("/api/"):
                identity.set_identity(identity.from_session())
            return None
        access = access_of(app, request.endpoint)
        if access is None:
            raise forbidden("This address has no declared role.")
        if not request.path.startswith("/api/"):
            return _check_page(access)
        _check_api(access)
        return None

    @app.after_request
    def add_headers(response: Response) -> Response:
        csrf.remember(response)
        return headers.apply(response)


def _check_api(access: Access) -> None:
    if access.role == "public":
        return
    who = identity.from_bearer()
    if who is None and "Authorization" not in request.headers:
        who = _by_session(access)
    if who is None:
        raise ApiProblem(
            401,
            "not-signed-in",
            "Send a valid token as 'Authorization: Bearer lp_…'. 'labpool token add' makes one.",
            headers={"WWW-Authenticate": 'Bearer realm="labpool"'},
        )
    identity.set_identity(who)
    _require(access, who)


def _by_session(access: Access) -> identity.Identity | None:
    """The cookie's owner where the route takes a cookie, and our own page made the request."""
    if request.method in _SAFE:
        return identity.from_session() if access.session and hosts.cookie_is_ours() else None
    if not access.form_token or csrf.HEADER not in request.headers:
        return None
    hosts.check_origin()
    who = identity.from_session()
    if who is not None:
        csrf.check_header()
    return who


def _check_page(access: Access) -> BaseResponse | None:
    unsafe = request.method not in _SAFE
    if unsafe:
        hosts.check_origin()
    who = identity.from_session()
    identity.set_identity(who)
    if who is None and access.role != "public":
        return _to_sign_in()
    if unsafe:
        csrf.check()
    if who is not None:
        _require(access, who)
    return None


def _require(access: Access, who: identity.Identity) -> None:
    if not access.allows(who.role):
        article = "an" if who.role == "admin" else "a"
        raise forbidden(f"This needs the role {access.role}; you are {article} {who.role}.")


def _to_sign_in() -> BaseResponse:
    if "fragment" in request.args or request.method not in _SAFE:
        raise ApiProblem(401, "not-signed-in", "You are signed out. Sign in and try again.")
    here = request.full_path if request.query_string else request.path
    return redirect(f"/sign-in?next={quote(here, safe='/')}", code=303)
