"""Sending files of the artifact store."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import BinaryIO

from flask import Response, request
from werkzeug.http import is_resource_modified

from api.context import services
from api.problems import ApiProblem
from db.artifacts import StoreAway

_BLOCK_BYTES = 256 * 1024
_RETRY_AFTER_S = 5
_STORE_AWAY = (
    "The artifact store is away: it is not found where it was. Nothing in it is known to be lost; "
    "try again soon, or ask an administrator whether its share is mounted."
)
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

    Raises ApiProblem as `open_stored` does.
    """
    etag = f'"{sha256}"'
    if not is_resource_modified(request.environ, etag=etag):
        response = Response(status=304)
    else:
        response = Response(
            _blocks(open_stored(key)), mimetype=None, content_type=safe_media_type(media_type)
        )
        response.content_length = size_bytes
    response.headers["ETag"] = etag
    response.headers["Content-Disposition"] = f'attachment; filename="{_plain(name)}"'
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    response.headers["Repr-Digest"] = f"sha-256=:{_base64_of(sha256)}:"
    return response


def open_stored(key: str) -> BinaryIO:
    """A file of the store, open for reading.

    Raises ApiProblem 410 when it has left the store, 503 while the store itself is away.
    """
    store = services().store
    try:
        return store.get(key)
    except OSError as error:
        try:
            # Where the store itself is away, what is missing is not gone for good.
            store.check()
        except StoreAway as away:
            again = {"Retry-After": str(_RETRY_AFTER_S)}
            raise ApiProblem(503, "store-away", _STORE_AWAY, headers=again) from away
        if not isinstance(error, FileNotFoundError):
            raise
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
