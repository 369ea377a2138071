"""Errors as RFC 9457 problem documents (API) or as a plain page (everything else).

Nothing internal leaves the process: an unexpected exception is logged under the request's id, and
the id is all that the caller sees.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, g, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestedRangeNotSatisfiable

from db.engine import is_outage
from labpool.errors import Problem, SpecError

log = logging.getLogger("labpool.api")

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:labpool:problem:"
_POSTGRES_DISK_FULL = "53100"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: RFC 6901 pointer into the body, or the name of a query parameter."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    suggestion: str | None = None

    def as_dict(self) -> dict[str, str]:
        members = {
            "pointer": self.pointer,
            "parameter": self.parameter,
            "detail": self.detail,
            "suggestion": self.suggestion,
        }
        return {name: value for name, value in members.items() if value is not None}


class ApiProblem(Exception):
    """A request that is answered with a problem document.

    `kind` is a short stable word that clients may switch on; `detail` is for people.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


def not_found(what: str) -> ApiProblem:
    """The same answer for what is absent and for what the caller may not know of."""
    return ApiProblem(404, "not-found", f"There is no {what} here.")


def forbidden(detail: str) -> ApiProblem:
    return ApiProblem(403, "forbidden", detail)


def from_spec_error(error: SpecError, status: int = 422) -> ApiProblem:
    """Every problem of a spec at once, each with its pointer."""
    errors = [_field_error(problem) for problem in error.problems]
    count = len(errors)
    detail = "The spec has a problem." if count == 1 else f"The spec has {count} problems."
    return ApiProblem(status, "invalid-spec", detail, errors=errors)


def _field_error(problem: Problem) -> FieldError:
    return FieldError(
        detail=problem.message, pointer=problem.pointer, suggestion=problem.suggestion
    )


def from_validation_error(error: ValidationError) -> ApiProblem:
    """Bad query parameters or a bad small JSON body, as pydantic reports them."""
    errors = []
    body = error.title.endswith("Body")
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        names = [str(part) for part in item["loc"]]
        if body:
            pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
            errors.append(FieldError(detail=item["msg"], pointer=pointer))
        else:
            errors.append(FieldError(detail=item["msg"], parameter=".".join(names)))
    where = "body" if body else "query"
    return ApiProblem(
        422, f"invalid-{where}", f"The request's {where} is not valid.", errors=errors
    )


def response_for(problem: ApiProblem) -> Response:
    """Problem JSON for the API and for callers that asked for JSON; a page for the rest."""
    if wants_page():
        return _page(problem)
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.kind,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": request_id(),
    }
    if problem.errors:
        body["errors"] = [error.as_dict() for error in problem.errors]
    text = json.dumps(body, ensure_ascii=True, allow_nan=False)
    response = Response(text + "\n", status=problem.status, mimetype=MEDIA_TYPE)
    response.headers.update(problem.headers)
    return response


def _page(problem: ApiProblem) -> Response:
    html = render_template(
        "error.html",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        problem=problem,
        request_id=request_id(),
        back=_page_before(),
    )
    response = Response(html, status=problem.status, mimetype="text/html")
    response.headers.update(problem.headers)
    return response


def _page_before() -> str:
    """The page of ours that a form was sent from, to go back to after signing in."""
    parts = urlsplit(request.referrer or "")
    if parts.netloc.lower() != request.host.lower():
        return "/"
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def wants_page() -> bool:
    if request.path.startswith("/api/"):
        return False
    best = request.accept_mimetypes.best_match(["text/html", "application/json", MEDIA_TYPE])
    return best in (None, "text/html")


def request_id() -> str:
    """The id that ties an answer to the server's log, or a dash before the guard has run."""
    return str(g.get("request_id", "-"))


_KINDS = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}

_DISK_FULL = (
    "The disk of the service's database is full; nothing was stored. Make room on its machine "
    "(`df -h` there) and try again."
)

_AWAY = (
    "The service's database does not answer just now. Nothing that was acknowledged is lost; try "
    "again in a moment, with the same Idempotency-Key."
)

_DETAILS = {
    404: "There is nothing at this address.",
    413: "The request's body is larger than this server takes.",
}


def disk_is_full(error: Exception) -> bool:
    """Whether the database (SQLite or Postgres), or the system itself, said so."""
    cause = getattr(error, "orig", None) or error
    return (
        getattr(cause, "sqlstate", None) == _POSTGRES_DISK_FULL
        or str(getattr(cause, "sqlite_errorname", "")) == "SQLITE_FULL"
        or getattr(cause, "errno", None) == errno.ENOSPC
    )


def _from_http(error: HTTPException) -> ApiProblem:
    status = error.code or 500
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if isinstance(error, RequestedRangeNotSatisfiable) and error.length is not None:
        headers["Content-Range"] = f"bytes */{error.length}"
    kind = _KINDS.get(status, HTTPStatus(status).phrase.lower().replace(" ", "-"))
    return ApiProblem(
        status,
        kind,
        _DETAILS.get(status) or error.description or HTTPStatus(status).phrase,
        headers=headers,
    )


def install(app: Flask) -> None:
    """Answer every error of `app` with a problem document or an error page."""

    @app.errorhandler(ApiProblem)
    def on_problem(error: ApiProblem) -> Response:
        return response_for(error)

    @app.errorhandler(SpecError)
    def on_spec_error(error: SpecError) -> Response:
        return response_for(from_spec_error(error))

    @app.errorhandler(HTTPException)
    def on_http(error: HTTPException) -> Response:
        # A redirect or a ready-made answer (the validation callback's) is no error.
        if error.response is not None or (error.code or 500) < 400:
            ready = error.get_response()
            assert isinstance(ready, Response)
            return ready
        return response_for(_from_http(error))

    @app.errorhandler(Exception)
    def on_unexpected(error: Exception) -> Response:
        is_away = is_outage(error) and not isinstance(error, OSError)
        full = disk_is_full(error)
        log.error(
            "request %s %s %s failed: %s",
            request_id(),
            request.method,
            request.path,
            (str(error).splitlines() or [type(error).__name__])[0],
            # An outage fails every request in the same way.
            exc_info=None if is_away and not full else error,
        )
        if full:
            return response_for(ApiProblem(507, "disk-full", _DISK_FULL))
        if is_away:
            again = {"Retry-After": "2"}
            return response_for(ApiProblem(503, "database-away", _AWAY, headers=again))
        return response_for(
            ApiProblem(
                500,
                "internal-error",
                "The server failed at this request. It has logged the cause under the request id.",
            )
        )
