"""One's own account: API tokens, and the browsers one is signed in with."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, make_response, redirect, request
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.pages.frame import page
from api.problems import not_found
from api.schemas.people import DAY_S, Label
from api.security.cookies import drop_cookie, session_cookie
from api.security.identity import me
from api.security.roles import allow
from db import clock
from db.models import Token, User
from db.states import Purpose
from db.users import issue_token, list_tokens, revoke_sessions, revoke_token

pages = Blueprint("account_pages", __name__)

# What the form offers; None never ends.
LIFETIMES: dict[str, tuple[str, float | None]] = {
    "1d": ("a day", DAY_S),
    "30d": ("30 days", 30 * DAY_S),
    "90d": ("90 days", 90 * DAY_S),
    "365d": ("a year", 365 * DAY_S),
    "never": ("until it is revoked", None),
}
_USUAL_LIFETIME = "90d"
_LABEL: TypeAdapter[str] = TypeAdapter(Label)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as its owner sees it."""

    id: int
    label: str
    created_at: float
    expires_at: float | None
    used_at: float | None
    state: str


@pages.get("/account")
@allow("member")
def show_account() -> Response:
    return _page()


@pages.post("/account/tokens")
@allow("member")
def make_token() -> Response:
    """The answer is the page itself: the secret stands on it once, and nowhere else."""
    label = request.form.get("label", "").strip()
    lifetime = request.form.get("lifetime", _USUAL_LIFETIME)
    problem = _label_problem(label)
    if problem is None and lifetime not in LIFETIMES:
        problem = "Choose one of the lifetimes."
    if problem is not None:
        return _page(problem=problem, label=label, lifetime=lifetime, status=422)

    def work(session: Session) -> str:
        user = session.get_one(User, me().user_id)
        return issue_token(session, user, Purpose.API, label, LIFETIMES[lifetime][1])[1]

    return _page(secret=services().database.run(work), made=label)


@pages.post("/account/tokens/<row:token_id>/revoke")
@allow("member")
def revoke_my_token(token_id: int) -> BaseResponse:
    def work(session: Session) -> bool:
        token = session.get(Token, token_id)
        if token is None or token.user_id != me().user_id or token.purpose is not Purpose.API:
            return False
        # Somebody who sends the form twice wanted what is already so.
        return token.revoked_at is not None or revoke_token(
            session, token_id, session.get_one(User, me().user_id)
        )

    if not services().database.run(work):
        raise not_found("token of yours")
    return redirect("/account", code=303)


@pages.post("/account/sign-out-everywhere")
@allow("member")
def sign_out_everywhere() -> BaseResponse:
    services().database.run(
        lambda session: revoke_sessions(session, session.get_one(User, me().user_id))
    )
    answer = make_response(redirect("/sign-in?done=1", code=303))
    drop_cookie(answer, session_cookie())
    return answer


def _label_problem(label: str) -> str | None:
    if not label:
        return "Say what the token is for, so that you know later which one to revoke."
    try:
        _LABEL.validate_python(label)
    except ValidationError:
        return "A label has at most 120 characters and no control characters."
    return None


def _page(
    *,
    secret: str = "",
    made: str = "",
    problem: str = "",
    label: str = "",
    lifetime: str = _USUAL_LIFETIME,
    status: int = 200,
) -> Response:
    with services().database.snapshot() as session:
        user = session.get_one(User, me().user_id)
        now = clock.now(session)
        tokens = [_row(token, now) for token in list_tokens(session, user)]
        here = session.get(Token, me().token_id)
        browsers = _open_sessions(session, user, now)
        since, until = user.created_at, here.expires_at if here else None
    response = page(
        "account.html",
        section="Account",
        title="Account",
        user_since=since,
        signed_in_until=until,
        browsers=browsers,
        tokens=tokens,
        lifetimes=LIFETIMES,
        secret=secret,
        made=made,
        problem=problem,
        label=label,
        lifetime=lifetime,
    )
    response.status_code = status
    return response


def _open_sessions(session: Session, user: User, now: float) -> int:
    rows = session.scalars(
        select(Token).where(
            Token.user_id == user.id,
            Token.purpose == Purpose.SESSION,
            Token.revoked_at.is_(None),
        )
    )
    return sum(row.expires_at is None or row.expires_at > now for row in rows)


def _row(token: Token, now: float) -> TokenRow:
    state = "good"
    if token.revoked_at is not None:
        state = "revoked"
    elif token.expires_at is not None and token.expires_at <= now:
        state = "expired"
    return TokenRow(token.id, token.label, token.created_at, token.expires_at, token.used_at, state)
