"""Tokens: everybody manages their own."""

from __future__ import annotations

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import small_body
from api.context import services
from api.openapi import ApiBlueprint, json_body
from api.problems import not_found
from api.responses import answer
from api.schemas import people as schemas
from api.security.identity import me
from api.security.roles import allow
from db.models import User
from db.states import Purpose
from db.users import issue_token, list_tokens, revoke_token

routes = ApiBlueprint("tokens", __name__, "Your API tokens")


@routes.get("/tokens", responses={200: schemas.TokenList})
@allow("member")
def list_my_tokens() -> Response:
    """List your tokens

    Without their secrets, which nobody has but you.
    """
    with services().database.snapshot() as session:
        rows = list_tokens(session, session.get_one(User, me().user_id))
        tokens = [schemas.token_of(row) for row in rows]
    return answer(schemas.TokenList(tokens=tokens))


@routes.post(
    "/tokens",
    responses={201: schemas.NewToken},
    openapi_extensions=json_body(schemas.NewTokenBody),
)
@allow("member")
def make_token() -> Response:
    """Make a token

    The answer holds its secret, which is shown this once.
    """
    body = small_body(schemas.NewTokenBody)

    def work(session: Session) -> schemas.NewToken:
        user = session.get_one(User, me().user_id)
        row, text = issue_token(session, user, Purpose.API, body.label, body.lifetime_s)
        return schemas.NewToken(token=schemas.token_of(row), secret=text)

    response = answer(services().database.run(work), 201)
    response.headers["Cache-Control"] = "no-store"
    return response


@routes.delete("/tokens/<row:token_id>", responses={204: None})
@allow("member")
def revoke_a_token(path: schemas.TokenPath) -> Response:
    """Revoke a token

    Your own; administrators may revoke anybody's.
    """

    def work(session: Session) -> bool:
        return revoke_token(session, path.token_id, session.get_one(User, me().user_id))

    if not services().database.run(work):
        raise not_found("token of yours")
    return Response(status=204)
