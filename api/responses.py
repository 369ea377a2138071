"""Answers from models, with an entity tag where the caller may already have the same one."""

from __future__ import annotations

import hashlib

from flask import Response, request
from pydantic import BaseModel


def answer(model: BaseModel, status: int = 200) -> Response:
    """JSON of `model`. A safe 200 carries a weak ETag, and If-None-Match is honoured."""
    body = model.model_dump_json(by_alias=True)
    response = Response(body, status=status, mimetype="application/json")
    return conditional(response) if status == 200 else response


def conditional(response: Response) -> Response:
    """Tag the response by its content; 304 without a body when the caller has it already."""
    if request.method in ("GET", "HEAD"):
        digest = hashlib.sha256(response.get_data()).hexdigest()[:32]
        response.set_etag(digest, weak=True)
        response.make_conditional(request)
    return response
