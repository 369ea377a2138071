"""The pool's upkeep, for administrators: clear a quarantine, drain a worker."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from sqlalchemy.orm import Session

from api.bodies import require_no_body
from api.context import services
from api.openapi import ApiBlueprint
from api.problems import ApiProblem
from api.responses import answer
from api.schemas import upkeep as schemas
from api.schemas.base import Model
from api.security.identity import me
from api.security.roles import allow
from db.errors import NotPossible
from db.models import User
from db.quarantine import clear
from db.workers import drain_worker

routes = ApiBlueprint("upkeep", __name__, "The pool's upkeep")


@routes.post("/pool/quarantines/<device>/clear", responses={200: schemas.Quarantine})
@allow("admin")
def clear_a_quarantine(path: schemas.DevicePath) -> Response:
    """Put a GPU back into service

    It was taken out because it failed its probe. Its slots claim again at once.
    """
    return _do(
        lambda session: schemas.quarantine_of(
            clear(session, path.device, session.get_one(User, me().user_id))
        )
    )


@routes.post("/pool/workers/<worker>/drain", responses={200: schemas.Drain})
@allow("admin")
def drain_a_worker(path: schemas.WorkerPath) -> Response:
    """Drain a worker

    It finishes what it holds and claims nothing more, until it is let go or started anew.
    """
    return _do(lambda session: schemas.drain_of(drain_worker(session, path.worker, True)))


@routes.post("/pool/workers/<worker>/undrain", responses={200: schemas.Drain})
@allow("admin")
def let_a_worker_claim(path: schemas.WorkerPath) -> Response:
    """Let a drained worker claim again"""
    return _do(lambda session: schemas.drain_of(drain_worker(session, path.worker, False)))


def _do(work: Callable[[Session], Model]) -> Response:
    require_no_body()
    try:
        model = services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return answer(model)
