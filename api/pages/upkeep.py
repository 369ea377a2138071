"""The buttons of the pool's page that keep it in repair, for administrators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flask import Blueprint, redirect
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from api.context import services
from api.problems import ApiProblem
from api.schemas.pool import Pool
from api.security.identity import me
from api.security.roles import allow
from db.errors import NotPossible
from db.models import Quarantine, User
from db.quarantine import clear
from db.workers import drain_worker

pages = Blueprint("upkeep_pages", __name__)


@dataclass(frozen=True, slots=True)
class OutOfService:
    """A GPU or a slot that takes nothing. `device` names it to whoever may clear it."""

    name: str
    host: str
    reason: str | None
    device: str | None
    since: float | None


def out_of_service(pool: Pool, quarantines: Sequence[Quarantine]) -> list[OutOfService]:
    """Everything that is, also on hosts whose worker is away."""
    found = [
        OutOfService(row.name, row.host, row.reason, row.device, row.since) for row in quarantines
    ]
    named = {row.device for row in quarantines}
    return found + [
        OutOfService(slot.name, worker.host, slot.reason, None, None)
        for worker in pool.workers
        if worker.alive
        for slot in worker.slots
        if slot.state == "quarantined" and not named & {slot.gpu_uuid, f"slot-{slot.id}"}
    ]


@pages.post("/pool/quarantines/<device>/clear")
@allow("admin")
def clear_a_quarantine(device: str) -> BaseResponse:
    return _do(lambda session: clear(session, device, session.get_one(User, me().user_id)))


@pages.post("/pool/workers/<worker>/drain")
@allow("admin")
def drain_a_worker(worker: str) -> BaseResponse:
    return _do(lambda session: drain_worker(session, worker, True))


@pages.post("/pool/workers/<worker>/undrain")
@allow("admin")
def let_a_worker_claim(worker: str) -> BaseResponse:
    return _do(lambda session: drain_worker(session, worker, False))


def _do(work: Callable[[Session], object]) -> BaseResponse:
    try:
        services().database.run(work)
    except NotPossible as error:
        raise ApiProblem(409, "not-possible", str(error)) from error
    services().bell.ring()
    return redirect("/pool", code=303)
