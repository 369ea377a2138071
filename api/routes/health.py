"""Is the process alive, and can it serve?"""

from __future__ import annotations

import json
from typing import Literal

from flask import Response, current_app
from sqlalchemy.exc import SQLAlchemyError

from api.context import services
from api.openapi import ApiBlueprint, described
from api.problems import ApiProblem
from api.responses import answer, conditional
from api.schemas.base import Model
from api.security.roles import allow
from db.errors import DatabaseNewer, DatabaseOlder
from db.migrate import check

routes = ApiBlueprint("health", __name__, "Liveness, readiness and this description")


class Health(Model):
    status: Literal["ok"] = "ok"


@routes.get("/health", responses={200: Health})
@allow("public")
def show_health() -> Response:
    """Say that the process answers

    Asks nothing of the database.
    """
    return answer(Health())


@routes.get("/ready", responses={200: Health})
@allow("public")
def show_readiness() -> Response:
    """Say whether requests can be served

    503 while the database does not answer or does not fit this version.
    """
    try:
        check(services().database)
    except (DatabaseNewer, DatabaseOlder) as error:
        raise _not_ready(str(error)) from error
    except (SQLAlchemyError, OSError) as error:
        # The driver's own message may hold the address and the user's name.
        raise _not_ready("The database does not answer.") from error
    return answer(Health())


def _not_ready(detail: str) -> ApiProblem:
    return ApiProblem(503, "not-ready", detail, headers={"Retry-After": "5"})


@routes.get("/openapi.json", doc_ui=False)
@allow("public")
def show_openapi() -> Response:
    """Describe this API"""
    text = json.dumps(described(current_app), ensure_ascii=True)
    return conditional(Response(text, mimetype="application/json"))
