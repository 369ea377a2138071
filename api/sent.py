"""Requests that may bring more than others: a picture or a file of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from flask import Flask, request

from labpool.settings import Settings

View = TypeVar("View", bound=Callable[..., Any])

FORM_BYTES: Final = 64 * 1024
"""What a form adds to the file in it."""
_ATTRIBUTE = "labpool_takes_upload"


def takes_upload(view: View) -> View:
    """Declare that a view reads a body of up to `max_prediction_bytes`."""
    setattr(view, _ATTRIBUTE, True)
    return view


def install(app: Flask, settings: Settings) -> None:
    """Give such views their limit; to be called before the guard, which reads forms."""

    @app.before_request
    def give_room() -> None:
        view = app.view_functions.get(request.endpoint or "")
        if getattr(view, _ATTRIBUTE, False):
            request.max_content_length = settings.max_prediction_bytes + FORM_BYTES
