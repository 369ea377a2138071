"""Sending files of the artifact store."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import BinaryIO

from flask import Response, request
from werkzeug.http import is_resource_modified

from api.context import services
from api.problems import ApiProblem

_BLOCK_BYTES = 256 * 1024
# What a browser may be told; everything else is sent as plain bytes. Never HTML, SVG or script.
_SAFE_MEDIA_TYPES = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/zip",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/csv",
        "text/plain",
    }
)


def safe_media_type(media_type: str) -> str:
    """The media type if it is harmless, else application/octet-stream."""
    plain = media_type.partition(";")[0].strip().lower()
    if plain not in _SAFE_MEDIA_TYPES:
        return "application/octet-stream"
    return f"{plain}; charset=utf-8" if plain.startswith("text/") else plain


def attachment(key: str, *, name: str, media_type: str, sha256: str, size_bytes: int) -> Response:
    """Stream a stored file as a download; its sha256 is a strong entity tag.

    Raises ApiProblem 410 when the row is there but the file has left the store.
    """
    etag = f'"{sha256}"'
    if not is_resource_modified(request.environ, etag=etag):
        response = Response(status=304)
    else:
        response = Response(
            _blocks(_open(key)), mimetype=None, content_type=safe_media_type(media_type)
        )
        response.content_length = size_bytes
    response.headers["ETag"] = etag
    response.headers["Content-Disposition"] = f'attachment; filename="{_plain(name)}"'
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Repr-Digest"] = f"sha-256=:{_base64_of(sha256)}:"
    return response


def _open(key: str) -> BinaryIO:
    try:
        return services().store.get(key)
    except (FileNotFoundError, KeyError) as error:
        raise ApiProblem(410, "file-gone", "This file is no longer in the store.") from error


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _plain(name: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept.lstrip(".")[:120] or "file"


def _base64_of(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()
