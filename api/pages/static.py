"""Style sheets, scripts and the icon, with addresses that change with their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory

from api.security.roles import allow

pages = Blueprint("static_files", __name__)

FOLDER = Path(__file__).resolve().parent.parent / "static"
_FOR_EVER = "public, max-age=31536000, immutable"


@cache
def static_url(name: str) -> str:
    """The address of a file in the static folder. Raises OSError when there is none."""
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@pages.get("/static/<path:name>")
@allow("public")
def send_static(name: str) -> Response:
    response = send_from_directory(FOLDER, name, conditional=True, etag=True)
    # A module that another one imports has no version in its address and is asked for again.
    response.headers["Cache-Control"] = _FOR_EVER if "v" in request.args else "no-cache"
    return response
