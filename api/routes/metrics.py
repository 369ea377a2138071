"""Curves of a trial."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.responses import answer
from api.schemas import files as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow
from api.visibility import visible_trial
from db.reads.curves import curves_since

routes = ApiBlueprint("metrics", __name__, "Curves: values by step, epoch and time")


@routes.get("/trials/<row:trial_id>/metrics", responses={200: schemas.CurveSet})
@allow("member", session=True)
def read_trial_metrics(path: TrialPath, query: schemas.CurveQuery) -> Response:
    """Read a trial's curves

    All points, or with `since` those after an earlier answer. Only the current or winning attempt
    counts; `reset` says that another one took over in between.
    """
    fence, chunk = _position(query.since)
    with services().database.snapshot() as session:
        trial = visible_trial(session, path.trial_id)
        found = curves_since(
            session, trial.id, seen_fence=fence, seen_chunk=chunk, names=query.name
        )
    return answer(schemas.curves_of(trial.id, found, trial.finished))


def _position(since: str | None) -> tuple[int | None, int]:
    if since is None:
        return None, 0
    fence, _, chunk = since.partition(".")
    # Fence 0 stands for "no attempt yet": whatever comes is simply new.
    return int(fence) or None, int(chunk)
