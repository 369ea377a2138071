"""Checkpoints of a trial."""

from __future__ import annotations

from flask import Response

from api.context import services
from api.files import attachment
from api.openapi import ApiBlueprint, binary
from api.problems import ApiProblem, not_found
from api.responses import answer
from api.schemas import files as schemas
from api.schemas.base import TrialPath
from api.security.roles import allow
from api.visibility import open_trial
from db.reads.files import checkpoint_row, checkpoints_of

routes = ApiBlueprint("checkpoints", __name__, "Weights and training state of a trial")


@routes.get("/trials/<row:trial_id>/checkpoints", responses={200: schemas.CheckpointList})
@allow("member")
def list_checkpoints(path: TrialPath) -> Response:
    """List a trial's checkpoints

    The best and the newest are kept.
    """
    with services().database.snapshot() as session:
        open_trial(session, path.trial_id)
        rows = checkpoints_of(session, path.trial_id)
    found = [schemas.checkpoint_of(path.trial_id, row) for row in rows]
    return answer(schemas.CheckpointList(checkpoints=found))


@routes.get(
    "/trials/<row:trial_id>/checkpoints/<row:checkpoint_id>",
    responses={200: binary("application/octet-stream", "An NPZ file, without pickle")},
)
@allow("member", session=True)
def download_checkpoint(path: schemas.CheckpointPath) -> Response:
    """Download a checkpoint"""
    with services().database.snapshot() as session:
        open_trial(session, path.trial_id)
        row = checkpoint_row(session, path.trial_id, path.checkpoint_id)
    if row is None:
        raise not_found("checkpoint")
    if not row.kept:
        raise ApiProblem(
            410, "file-gone", "This checkpoint was not kept: newer or better ones were."
        )
    return attachment(
        row.key,
        name=f"trial-{path.trial_id}-epoch-{row.epoch}.npz",
        media_type="application/octet-stream",
        sha256=row.sha256,
        size_bytes=row.size_bytes,
    )
