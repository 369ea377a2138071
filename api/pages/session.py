"""Signing in and out: a one-time link, or an API token typed into a form."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.security.cookies import drop_cookie, form_cookie, session_cookie, set_cookie
from api.security.roles import allow
from db.models import User
from db.states import Purpose
from db.users import authenticate, issue_token, redeem_sign_in, revoke_text

pages = Blueprint("session_pages", __name__)

SESSION_LIFETIME_S = 14 * 24 * 3600
_LONGEST_TOKEN = 200
_LONGEST_NEXT = 500


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

    def work(session: Session) -> str | None:
        user = _whose(session, link, typed)
        if user is None:
            return None
        _, text = issue_token(session, user, Purpose.SESSION, "browser", SESSION_LIFETIME_S)
        return text

    text = services().database.run(work)
    if text is None:
        what = "link has been used already or is too old" if link else "token is not valid"
        response = _form(problem=f"This {what}.")
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
    answer = make_response(redirect("/sign-in", code=303))
    drop_cookie(answer, session_cookie())
    return answer


def local_path(wanted: str) -> str:
    """`wanted` when it is a path of this server, else the first page."""
    harmless = wanted.isprintable() and "\\" not in wanted and len(wanted) <= _LONGEST_NEXT
    return wanted if harmless and wanted.startswith("/") and not wanted.startswith("//") else "/"


def _whose(session: Session, link: str, typed: str) -> User | None:
    if link:
        return redeem_sign_in(session, link)
    return authenticate(session, typed, Purpose.API)


def _form(one_time_token: str = "", problem: str = "") -> Response:
    wanted = request.values.get("next", "")
    html = render_template(
        "sign_in.html",
        title="Sign in",
        one_time_token=one_time_token,
        problem=problem,
        next=local_path(wanted),
    )
    response = make_response(html)
    response.headers["Cache-Control"] = "no-store"
    return response
