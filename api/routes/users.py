"""Users: administrators add, list and disable them."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import require_no_body, small_body
from api.context import services
from api.openapi import ApiBlueprint, json_body
from api.problems import ApiProblem, not_found
from api.responses import answer
from api.schemas import people as schemas
from api.security.identity import me
from api.security.roles import allow
from db.errors import NameTaken, NotPossible
from db.grants import capabilities_of, set_capabilities
from db.models import User as UserRow
from db.states import Purpose, Role
from db.users import (
    add_user,
    find_user,
    issue_token,
    list_users,
    set_user_disabled,
    set_user_limits,
)

routes = ApiBlueprint("users", __name__, "People of the pool")

SIGN_IN_LIFETIME_S = 600.0


@routes.get("/users", responses={200: schemas.UserList})
@allow("admin")
def list_all_users() -> Response:
    """List the users"""
    with services().database.snapshot() as session:
        users = [_shown(session, row) for row in list_users(session)]
    return answer(schemas.UserList(users=users))


@routes.get("/users/me", responses={200: schemas.User})
@allow("member", session=True)
def show_me() -> Response:
    """Show yourself"""
    with services().database.snapshot() as session:
        return answer(_shown(session, session.get_one(UserRow, me().user_id)))


@routes.post(
    "/users",
    responses={201: schemas.User},
    openapi_extensions=json_body(schemas.NewUserBody),
)
@allow("admin")
def add_a_user() -> Response:
    """Add a user"""
    body = small_body(schemas.NewUserBody)

    def work(session: Session) -> schemas.User:
        row = add_user(session, body.name, Role(body.role))
        session.flush()
        return _shown(session, row)

    try:
        model = services().database.run(work)
    except NameTaken as error:
        raise ApiProblem(409, "name-taken", str(error)) from error
    except NotPossible as error:
        raise ApiProblem(422, "invalid-body", str(error)) from error
    return answer(model, 201)


@routes.patch(
    "/users/<name>",
    responses={200: schemas.User},
    openapi_extensions=json_body(schemas.UserChangeBody),
)
@allow("admin")
def change_user(path: schemas.UserPath) -> Response:
    """Change a user: disabled, share, most slots at once, what they may run"""
    body = small_body(schemas.UserChangeBody)

    def work(session: Session) -> schemas.User:
        _found(session, path.name)
        row = set_user_limits(session, path.name, share=body.share, max_running=body.max_running)
        if body.disabled is not None:
            row = set_user_disabled(session, path.name, body.disabled)
        if body.may_run is not None:
            set_capabilities(session, row, body.may_run, by=me().name)
        session.flush()
        return _shown(session, row)

    try:
        return answer(services().database.run(work))
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error


@routes.post("/users/<name>/sign-in-link", responses={201: schemas.SignInLink})
@allow("admin")
def make_sign_in_link(path: schemas.UserPath) -> Response:
    """Make a one-time sign-in link

    It signs that user in to the pages once, within ten minutes.
    """
    require_no_body()

    def work(session: Session) -> schemas.SignInLink:
        user = _found(session, path.name)
        label = f"link by {me().name}"
        row, text = issue_token(session, user, Purpose.SIGN_IN, label, SIGN_IN_LIFETIME_S)
        link = f"/sign-in?token={quote(text)}"
        return schemas.SignInLink.model_validate({"path": link, "expires_at": row.expires_at})

    return answer(services().database.run(work), 201)


def _shown(session: Session, row: UserRow) -> schemas.User:
    return schemas.user_of(row, capabilities_of(session, row.id))


def _found(session: Session, name: str) -> UserRow:
    user = find_user(session, name)
    if user is None:
        raise not_found("user of that name")
    return user
