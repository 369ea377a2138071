"""Data sets that people bring."""

from __future__ import annotations

from typing import Any

from flask import Response

from api.bodies import require_no_body
from api.context import services
from api.openapi import ApiBlueprint
from api.problems import not_found
from api.responses import answer
from api.schemas import uploads as schemas
from api.security.roles import allow
from api.uploading import remove, seen_by, share, take_in, takes_uploads
from db.uploads import upload_row, uploads_for

routes = ApiBlueprint("uploads", __name__, "Data sets that people bring")
takes_uploads("uploads.upload_data")

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["name", "file"],
                    "properties": {
                        "name": {"type": "string", "description": "What it is called."},
                        "public": {"type": "string", "enum": ["0", "1"]},
                        "file": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One NPZ or CSV file, or two IDX files.",
                        },
                    },
                }
            }
        },
    }
}


@routes.post("/uploads", responses={201: schemas.Upload}, openapi_extensions=_FORM)
@allow("member")
def upload_data() -> Response:
    """Upload a data set

    One NPZ or CSV file, or the images and the labels as two IDX files. A spec then names it as
    `dataset: owner/name`.
    """
    return answer(schemas.upload_of(take_in()), 201)


@routes.get("/uploads", responses={200: schemas.UploadList})
@allow("member")
def list_uploads() -> Response:
    """List uploads

    One's own and public ones; for an admin all.
    """
    with services().database.snapshot() as session:
        found = [schemas.upload_of(row) for row in uploads_for(session, seen_by())]
    return answer(schemas.UploadList(uploads=found))


@routes.get("/uploads/<row:upload_id>", responses={200: schemas.Upload})
@allow("member")
def show_upload(path: schemas.UploadPath) -> Response:
    """Show an upload"""
    with services().database.snapshot() as session:
        row = upload_row(session, path.upload_id, seen_by())
        if row is None:
            raise not_found("upload")
        return answer(schemas.upload_of(row))


@routes.post("/uploads/<row:upload_id>/share", responses={200: schemas.Upload})
@allow("member")
def share_upload(path: schemas.UploadPath) -> Response:
    """Make an upload public

    For good. What trials made of it opens with it: files, checkpoints, logs and predictions.
    """
    require_no_body()
    return answer(schemas.upload_of(share(path.upload_id)))


@routes.delete("/uploads/<row:upload_id>", responses={204: None})
@allow("member")
def delete_upload(path: schemas.UploadPath) -> Response:
    """Delete an upload

    Not while a trial that has not ended needs it.
    """
    remove(path.upload_id)
    return Response(status=204)
