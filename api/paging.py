"""Keyset cursors: an opaque text that holds the last row's sort key, and the Link header."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from urllib.parse import urlencode

from flask import Response, request

from api.problems import ApiProblem, FieldError

# The longest name of an experiment, each letter escaped, in base 64.
_LONGEST_CURSOR = 2000
Scalar = str | int | float | None


def encode_cursor(key: Sequence[Scalar]) -> str:
    """The opaque text of a sort key."""
    text = json.dumps(list(key), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(text: str | None, types: Sequence[type]) -> tuple[Scalar, ...] | None:
    """The sort key of a cursor made by `encode_cursor`, checked against `types`.

    Raises ApiProblem 422 for anything else, including a cursor of another list.
    """
    if text is None:
        return None
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError("too long")
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if not isinstance(key, list) or len(key) != len(types):
            raise ValueError("wrong shape")
        for value, wanted in zip(key, types, strict=True):
            if not _fits(value, wanted):
                raise ValueError("wrong type")
    except (ValueError, UnicodeError, RecursionError, binascii.Error) as error:
        raise bad_parameter("cursor", "This is not a cursor that this list gave.") from error
    return tuple(key)


def _fits(value: object, wanted: type) -> bool:
    if value is None or isinstance(value, bool):
        return value is None
    if wanted is float:
        return isinstance(value, int | float) and abs(value) < 1e15
    if wanted is int:
        return isinstance(value, int) and abs(value) < 2**63
    return isinstance(value, wanted)


def bad_parameter(name: str, detail: str, suggestion: str | None = None) -> ApiProblem:
    """422 for one query parameter."""
    error = FieldError(detail=detail, parameter=name, suggestion=suggestion)
    return ApiProblem(422, "invalid-query", "The request's query is not valid.", errors=[error])


def next_url(cursor: str) -> str:
    """This request's address with another cursor; host-relative."""
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.path}?{urlencode([*pairs, ('cursor', cursor)])}"


def link_next(response: Response, cursor: str | None) -> Response:
    """Add `Link: <…>; rel="next"` when there is a next page."""
    if cursor is not None:
        response.headers["Link"] = f'<{next_url(cursor)}>; rel="next"'
    return response
