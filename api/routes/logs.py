"""Logs: what a trial's process wrote to its standard output and error."""

from __future__ import annotations

from flask import Response, request

from api.context import services
from api.logs import choose, read_log
from api.openapi import ApiBlueprint
from api.problems import not_found
from api.responses import answer
from api.schemas import files as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow
from api.visibility import open_trial
from db.reads.files import attempts_of

routes = ApiBlueprint("logs", __name__, "What a trial wrote")

_WHOLE_LOG_BYTES = 64 * 1024 * 1024
_CONTENT = {
    "description": "The log's bytes from the offset on",
    "content": {
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"$ref": "#/components/schemas/LogPart"}},
    },
}


@routes.get("/trials/<row:trial_id>/log", responses={200: _CONTENT, 206: schemas.LogPart})
@allow("member", session=True)
def read_trial_log(path: TrialPath, query: schemas.LogQuery) -> Response:
    """Read a trial's log

    As text/plain all of it from `offset` on, as a download; as application/json a part of at most
    256 KiB with the offset to go on at.
    """
    with services().database.snapshot() as session:
        open_trial(session, path.trial_id)
        attempts = attempts_of(session, path.trial_id)
    attempt = choose(attempts, query.fence)
    if attempt is None and query.fence is not None:
        raise not_found("attempt of that fence")
    if _wants_json():
        part = read_log(attempt, query.offset)
        return answer(
            schemas.LogPart(
                trial_id=path.trial_id,
                fence=part.fence,
                offset=part.offset,
                next_offset=part.next_offset,
                total_bytes=part.total_bytes,
                complete=part.complete,
                truncated=part.truncated,
                text=part.text,
            )
        )
    part = read_log(attempt, query.offset, _WHOLE_LOG_BYTES)
    response = Response(part.data, content_type="text/plain; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="trial-{path.trial_id}.log"'
    response.headers["Log-Next-Offset"] = str(part.next_offset)
    return response


def _wants_json() -> bool:
    offered = ["text/plain", "application/json"]
    return request.accept_mimetypes.best_match(offered, "text/plain") == "application/json"
