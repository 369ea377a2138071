"""Pictures that a trial made, shown in its page; each is one by its own first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from flask import Blueprint, Response

from api.context import services
from api.files import attachment, open_stored
from api.problems import ApiProblem, not_found
from api.security.roles import allow
from api.visibility import open_trial
from db.reads.files import ArtifactRow, artifact_row

pages = Blueprint("picture_pages", __name__)

MOST_BYTES = 16 * 1024 * 1024
_TYPES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
_HAVE_A_PLACE = re.compile(r"samples-[0-9]{6,9}\.png|mistakes\.png")
POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


def is_picture(row: ArtifactRow) -> bool:
    """Whether the page shows it: it says that it is one, and is not too large for a page."""
    return row.media_type in _TYPES and row.size_bytes <= MOST_BYTES


def others(rows: Iterable[ArtifactRow]) -> list[ArtifactRow]:
    """The pictures that have no place of their own on the page."""
    return [row for row in rows if is_picture(row) and not _HAVE_A_PLACE.fullmatch(row.name)]


def media_type_of(head: bytes) -> str | None:
    """The picture format that the first bytes are those of; never SVG, which may hold scripts."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


@pages.get("/trials/<row:trial_id>/pictures/<row:artifact_id>")
@allow("member")
def show_picture(trial_id: int, artifact_id: int) -> Response:
    with services().database.snapshot() as session:
        open_trial(session, trial_id)
        row = artifact_row(session, trial_id, artifact_id)
    if row is None or not is_picture(row):
        raise not_found("picture")
    media_type = media_type_of(_head(row))
    if media_type is None:
        raise ApiProblem(415, "no-picture", "This file says that it is a picture and is none.")
    response = attachment(
        row.key, name=row.name, media_type=media_type, sha256=row.sha256, size_bytes=row.size_bytes
    )
    if response.status_code == 200:
        response.content_type = media_type
    response.headers["Content-Disposition"] = "inline"
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _head(row: ArtifactRow) -> bytes:
    with open_stored(row.key) as file:
        return file.read(16)
