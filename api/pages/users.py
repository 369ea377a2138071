"""The people of the pool, for its administrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from urllib.parse import quote

from flask import Blueprint, Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.pages.frame import page
from api.routes.users import SIGN_IN_LIFETIME_S
from api.security.identity import me
from api.security.roles import allow
from db.errors import NameTaken, NotPossible
from db.models import User
from db.states import Purpose, Role
from db.users import (
    LARGEST_SHARE,
    LEAST_SHARE,
    add_user,
    find_user,
    issue_token,
    list_users,
    revoke_sessions,
    set_user_disabled,
    set_user_limits,
    set_user_role,
)

pages = Blueprint("user_pages", __name__)


@pages.get("/users")
@allow("admin")
def show_users() -> Response:
    return _page()


@pages.post("/users")
@allow("admin")
def add_somebody() -> Response:
    """A new user; the answer shows their first link, which stands nowhere else."""
    name = request.form.get("name", "").strip()
    role = request.form.get("role", "member")
    if role not in tuple(Role):
        return _page(problem="A role is member or admin.", name=name, status=422)

    def work(session: Session) -> str:
        return _link(session, add_user(session, name, role))

    try:
        link = services().database.run(work)
    except NameTaken as error:
        return _page(problem=str(error), name=name, role=role, status=409)
    except NotPossible as error:
        return _page(problem=error.detail.capitalize() + ".", name=name, role=role, status=422)
    return _page(link=link, link_for=name)


@pages.post("/users/<name>/link")
@allow("admin")
def make_link(name: str) -> Response:
    def work(session: Session) -> str:
        user = find_user(session, name)
        if user is None:
            raise NotPossible(f"there is no user {name!r}")
        if user.disabled_at is not None:
            raise NotPossible(f"{name!r} is disabled, and a link would not sign in")
        return _link(session, user)

    try:
        link = services().database.run(work)
    except NotPossible as error:
        return _page(problem=_said(error), status=409)
    return _page(link=link, link_for=name)


@pages.post("/users/<name>/disable")
@allow("admin")
def disable(name: str) -> BaseResponse:
    return _change(name, lambda session: set_user_disabled(session, name, True))


@pages.post("/users/<name>/enable")
@allow("admin")
def enable(name: str) -> BaseResponse:
    """Let somebody in again; what was signed in before stays signed out."""

    def work(session: Session) -> None:
        revoke_sessions(session, set_user_disabled(session, name, False))

    return _change(name, work)


@pages.post("/users/<name>/role")
@allow("admin")
def give_role(name: str) -> BaseResponse:
    role = request.form.get("role", "")
    if role not in tuple(Role):
        return _page(problem="A role is member or admin.", status=422)
    return _change(name, lambda session: set_user_role(session, name, role))


@pages.post("/users/<name>/limits")
@allow("admin")
def set_limits(name: str) -> BaseResponse:
    """A user's share of the pool and the most slots they may hold; no number takes the pool's."""
    share, most = request.form.get("share", "").strip(), request.form.get("max_running", "").strip()
    try:
        wanted = float(share)
        limit: int | Literal["default"] = int(most) if most else "default"
    except ValueError:
        return _page(problem="A share is a number, the most slots at once a whole one.", status=422)

    def work(session: Session) -> None:
        set_user_limits(session, name, share=wanted, max_running=limit)

    try:
        services().database.run(work)
    except NotPossible as error:
        return _page(problem=_said(error), status=422)
    return redirect("/users", code=303)


def _change(name: str, work: Callable[[Session], object]) -> BaseResponse:
    if name == me().name:
        # Who locks themselves out cannot undo it; another administrator can do it for them.
        return _page(problem="Ask another administrator to change your own account.", status=409)
    try:
        services().database.run(work)
    except NotPossible as error:
        return _page(problem=_said(error), status=409)
    return redirect("/users", code=303)


def _link(session: Session, user: User) -> str:
    label = f"link by {me().name}"
    _, text = issue_token(session, user, Purpose.SIGN_IN, label, SIGN_IN_LIFETIME_S)
    return f"{request.host_url}sign-in?token={quote(text)}"


def _said(error: NotPossible) -> str:
    return f"That is not possible: {error.detail}."


def _page(
    *,
    link: str = "",
    link_for: str = "",
    problem: str = "",
    name: str = "",
    role: str = "member",
    status: int = 200,
) -> Response:
    with services().database.snapshot() as session:
        people = list_users(session)
        response = page(
            "users.html",
            section="Users",
            title="Users",
            people=people,
            roles=tuple(Role),
            pool_limit=services().settings.max_running_per_user,
            least_share=LEAST_SHARE,
            largest_share=LARGEST_SHARE,
            link=link,
            link_for=link_for,
            link_minutes=int(SIGN_IN_LIFETIME_S // 60),
            problem=problem,
            name=name,
            role=role,
        )
    response.status_code = status
    return response
