"""Files that a trial made."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.files import attachment
from api.openapi import ApiBlueprint, binary
from api.problems import not_found
from api.responses import answer
from api.schemas import files as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow
from api.visibility import open_trial
from db.reads.files import artifact_row, artifacts_of

routes = ApiBlueprint("artifacts", __name__, "Files that a trial made")


@routes.get("/trials/<row:trial_id>/artifacts", responses={200: schemas.ArtifactList})
@allow("member")
def list_artifacts(path: TrialPath) -> Response:
    """List a trial's files"""
    with services().database.snapshot() as session:
        open_trial(session, path.trial_id)
        rows = artifacts_of(session, path.trial_id)
    found = [schemas.artifact_of(path.trial_id, row) for row in rows]
    return answer(schemas.ArtifactList(artifacts=found))


@routes.get(
    "/trials/<row:trial_id>/artifacts/<row:artifact_id>",
    responses={200: binary("application/octet-stream", "The file, always as a download")},
)
@allow("member", session=True)
def download_artifact(path: schemas.ArtifactPath) -> Response:
    """Download a file"""
    with services().database.snapshot() as session:
        open_trial(session, path.trial_id)
        row = artifact_row(session, path.trial_id, path.artifact_id)
    if row is None:
        raise not_found("file")
    return attachment(
        row.key,
        name=f"trial-{path.trial_id}-{row.name}",
        media_type=row.media_type,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
    )
