"""Reading request bodies: media type, size, text; nothing here trusts the sender."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Literal, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from api.problems import ApiProblem, FieldError, from_spec_error, from_validation_error
from labpool.errors import Problem, SpecError, pointer
from labpool.reading import read_spec

_JSON = frozenset({"application/json"})
_YAML = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
# A mebibyte of YAML takes PyYAML a quarter of a minute, as JSON half a second.
MOST_YAML_BYTES = 128 * 1024
_MOST_NAMES = 200
_MOST_ITEMS = 1000
Body = TypeVar("Body", bound=BaseModel)
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


def spec_from_body() -> tuple[dict[str, Any], str]:
    """The spec in the body as plain data, and a digest of the data for idempotency.

    The digest is of the meaning, not of the bytes: the same spec with other spacing, or as YAML
    instead of JSON, is the same submission.

    Raises ApiProblem 415 for other media types, 413 for too much YAML, and 400 for text that
    cannot be read.
    """
    form = _spec_format()
    data = read_body()
    if form == "yaml" and len(data) > MOST_YAML_BYTES:
        raise ApiProblem(
            413,
            "body-too-large",
            f"A spec in YAML may have {MOST_YAML_BYTES // 1024} KiB. Send a larger one as JSON.",
        )
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
    refuse_excess(spec)
    return spec, digest_of(spec)


def idempotency_key() -> str | None:
    """The header of that name, if there is one. Raises ApiProblem 400 where it can be no key."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise ApiProblem(
            400,
            "bad-idempotency-key",
            "An Idempotency-Key is 1 to 200 visible ASCII characters without spaces.",
        )
    return key


def read_body() -> bytes:
    """The request's body. ApiProblem 413, or werkzeug's own 413, beyond the limit."""
    data = request.get_data(cache=False)
    most = request.max_content_length
    # Without a Content-Length werkzeug stops reading at the limit and does not say so.
    if request.content_length is None and most is not None and len(data) >= most:
        raise ApiProblem(413, "body-too-large", f"A body may have {most} bytes.")
    return data


def refuse_excess(spec: object) -> None:
    """Raise ApiProblem 422 for tables and lists that no spec needs."""
    found = excess_of(spec)
    if found is not None:
        error = FieldError(detail=found.message, pointer=found.pointer)
        raise ApiProblem(422, "invalid-spec", "The spec has a problem.", errors=[error])


def excess_of(spec: object) -> Problem | None:
    """The first table or list in `spec` that is larger than any spec needs.

    The catalog is asked about each name, so a body of nothing but wrong names would take seconds.
    """
    waiting: list[tuple[object, tuple[str | int, ...]]] = [(spec, ())]
    while waiting:
        value, path = waiting.pop()
        if isinstance(value, dict):
            most, inner = _MOST_NAMES, [(item, (*path, name)) for name, item in value.items()]
        elif isinstance(value, list):
            most, inner = _MOST_ITEMS, [(item, (*path, place)) for place, item in enumerate(value)]
        else:
            continue
        if len(inner) > most:
            what = "names" if isinstance(value, dict) else "values"
            message = f"holds {len(inner)} {what}; at most {most} are read."
            return Problem(pointer(*path), message)
        waiting.extend(inner)
    return None


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
        data = read_spec(read_body(), "json")
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
    if read_body().strip() not in (b"", b"{}"):
        raise ApiProblem(400, "unexpected-body", "This request takes no body.")
