"""The CUDA source of a trial that runs its owner's own."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.openapi import ApiBlueprint
from api.problems import forbidden, not_found
from api.schemas.base import TrialPath
from api.security.identity import me
from api.security.roles import allow
from api.visibility import may_change, visible_trial
from db.own_sources import source_of

routes = ApiBlueprint("own_sources", __name__, "Users' own kernels")

_CONTENT = {
    "description": "The source as it was submitted",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@routes.get("/trials/<row:trial_id>/source", responses={200: _CONTENT})
@allow("member", session=True)
def read_own_source(path: TrialPath) -> Response:
    """Read a trial's own source

    For its owner and administrators. Others see its digest in the spec.
    """
    with services().database.snapshot() as session:
        row = visible_trial(session, path.trial_id)
        if not may_change(me(), row.owner_id):
            raise forbidden("Only the owner or an administrator may read a trial's own source.")
        text = source_of(session, row.id)
    if text is None:
        raise not_found("source of this trial's own")
    response = Response(text.encode(), content_type="text/plain; charset=utf-8")
    name = f"trial-{path.trial_id}.cu"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
