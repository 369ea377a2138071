"""Signing in and out: a one-time link, or an API token typed into a form."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.security.cookies import drop_cookie, form_cookie, session_cookie, set_cookie
from api.security.identity import viewer
from api.security.roles import allow
from db.models import User
from db.states import Purpose
from db.users import authenticate, issue_token, redeem_sign_in, revoke_text, why_refused

pages = Blueprint("session_pages", __name__)

# Long enough that a daily user never signs in again by hand within a fortnight of work, short
# enough that a browser that was left behind forgets.
SESSION_LIFETIME_S = 14 * 24 * 3600
_LONGEST_TOKEN = 200
_LONGEST_NEXT = 500
_AGAIN = "Ask for a new one: labpool user link NAME, or an administrator on the page Users."
_LINK_PROBLEMS = {
    "wrong": f"This link is not one of this pool's, or was not copied whole. {_AGAIN}",
    "used": f"This link has been used already; each works once. {_AGAIN}",
    "revoked": f"This link has been revoked. {_AGAIN}",
    "expired": f"This link is too old; it works for ten minutes. {_AGAIN}",
}
_TOKEN_PROBLEMS = {
    "wrong": "This token is not valid here. A token begins with lp_ and is shown once, when it is "
    "made; a one-time link is opened, not typed.",
    "revoked": "This token has been revoked. Make a new one with: labpool token add",
    "expired": "This token has expired. Make a new one with: labpool token add",
}
_DISABLED = "This account is disabled. Ask an administrator to enable it."


@pages.get("/sign-in")
@allow("public")
def show_sign_in() -> Response:
    """A link is not redeemed by looking at it: mail and chat programs look at links too."""
    token = request.args.get("token", "")[:_LONGEST_TOKEN]
    return _form(one_time_token=token)


@pages.post("/sign-in")
@allow("public")
def sign_in() -> BaseResponse:
    link = request.form.get("token", "")
    typed = request.form.get("api_token", "").strip()
    before = request.cookies.get(session_cookie(), "")

    def work(session: Session) -> tuple[str | None, str]:
        user = _whose(session, link, typed)
        if user is None:
            return None, _problem(session, link, typed)
        # This browser's cookie is about to be replaced: nobody should find the old one good.
        revoke_text(session, before)
        _, text = issue_token(session, user, Purpose.SESSION, "browser", SESSION_LIFETIME_S)
        return text, ""

    text, problem = services().database.run(work)
    if text is None:
        response = _form(problem=problem)
        response.status_code = 403
        return response
    answer = redirect(local_path(request.form.get("next", "")), code=303)
    answer = make_response(answer)
    set_cookie(answer, session_cookie(), text, SESSION_LIFETIME_S)
    drop_cookie(answer, form_cookie())
    return answer


@pages.post("/sign-out")
@allow("public")
def sign_out() -> BaseResponse:
    text = request.cookies.get(session_cookie(), "")
    services().database.run(lambda session: revoke_text(session, text))
    answer = make_response(redirect("/sign-in?done=1", code=303))
    drop_cookie(answer, session_cookie())
    return answer


def local_path(wanted: str) -> str:
    """`wanted` when it is a path of this server, else the first page."""
    harmless = wanted.isprintable() and "\\" not in wanted and len(wanted) <= _LONGEST_NEXT
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/sign-"))
    return wanted if harmless and ours else "/"


def _whose(session: Session, link: str, typed: str) -> User | None:
    if link:
        return redeem_sign_in(session, link)
    return authenticate(session, typed, Purpose.API)


def _problem(session: Session, link: str, typed: str) -> str:
    if not link and not typed:
        return "Paste an API token; it begins with lp_. An empty one is not valid."
    text, purpose = (link, Purpose.SIGN_IN) if link else (typed, Purpose.API)
    refusal = why_refused(session, text, purpose)
    if refusal == "disabled":
        return _DISABLED
    return (_LINK_PROBLEMS if link else _TOKEN_PROBLEMS)[
        "wrong" if refusal == "used" and not link else refusal
    ]


def _form(one_time_token: str = "", problem: str = "") -> Response:
    wanted = local_path(request.values.get("next", ""))
    html = render_template(
        "sign_in.html",
        title="Sign in",
        one_time_token=one_time_token,
        problem=problem,
        signed_out="done" in request.args and viewer() is None,
        next=wanted,
        has_next=wanted != "/",
    )
    response = make_response(html)
    response.headers["Cache-Control"] = "no-store"
    return response
