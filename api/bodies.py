"""Reading request bodies: media type, size, text; nothing here trusts the sender."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from api.problems import ApiProblem, from_spec_error, from_validation_error
from labpool.errors import SpecError
from labpool.reading import read_spec

_JSON = frozenset({"application/json"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
Body = TypeVar("Body", bound=BaseModel)


def spec_from_body() -> tuple[dict[str, Any], str]:
    """The spec in the body as plain data, and a digest of the data for idempotency.

    The digest is of the meaning, not of the bytes: the same spec with other spacing, or as YAML
    instead of JSON, is the same submission.

    Raises ApiProblem 415 for other media types and 400 for text that cannot be read.
    """
    form = _spec_format()
    data = request.get_data(cache=False)
    if not data.strip():
        raise ApiProblem(400, "empty-body", "The request has no body. Send a spec.")
    try:
        spec = read_spec(data, form)
    except SpecError as error:
        problem = from_spec_error(error, status=400)
        problem.kind, problem.detail = (
            "unreadable-spec",
            f"The body is not a readable {form.upper()} spec.",
        )
        raise problem from error
    return spec, digest_of(spec)


def _spec_format() -> Literal["json", "yaml"]:
    media_type = request.mimetype
    if media_type in _JSON:
        return "json"
    if media_type in _YAML:
        return "yaml"
    raise ApiProblem(
        415,
        "unsupported-media-type",
        "Send a spec as application/json or application/yaml.",
        headers={"Accept-Post": "application/json, application/yaml, text/yaml"},
    )


def digest_of(spec: object) -> str:
    """sha256 hex of a spec's canonical JSON."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def small_body(model: type[Body]) -> Body:
    """The JSON body as `model`; ApiProblem 415, 400 or 422 otherwise."""
    if request.mimetype not in _JSON:
        raise ApiProblem(
            415,
            "unsupported-media-type",
            "Send application/json.",
            headers={"Accept-Post": "application/json"},
        )
    try:
        data = read_spec(request.get_data(cache=False), "json")
    except SpecError as error:
        problem = from_spec_error(error, status=400)
        problem.kind, problem.detail = "unreadable-body", "The body is not a JSON object."
        raise problem from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise from_validation_error(error) from error


def require_no_body() -> None:
    """Refuse a body where none is wanted: an option that is silently ignored misleads."""
    if request.get_data(cache=False).strip() not in (b"", b"{}"):
        raise ApiProblem(400, "unexpected-body", "This request takes no body.")
