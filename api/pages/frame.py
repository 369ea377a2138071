"""What every page is set in: navigation, form tokens, fragments for the live part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Flask, Response, make_response, render_template, request
from markupsafe import Markup

from api.pages.static import static_url
from api.responses import conditional
from api.security import csrf
from api.security.identity import viewer
from labpool.version import version

NAVIGATION = (
    ("/", "Boards"),
    ("/experiments", "Experiments"),
    ("/pool", "Pool"),
    ("/datasets", "Data"),
    ("/submit", "Submit"),
)

_SECTION_TOPICS = {"Boards": ("boards",), "Experiments": ("experiments",), "Pool": ("pool",)}


def page(
    template: str,
    *,
    section: str = "",
    finished: bool = False,
    topics: Sequence[str] | None = None,
    **values: Any,
) -> Response:
    """Render a page, or with `?fragment=1` only its live part, which the browser may have already.

    `finished` says that nothing on it will change by itself any more; `topics` are those of the
    event stream that change it, by default its section's.
    """
    fragment = request.args.get("fragment") == "1"
    if topics is None:
        topics = _SECTION_TOPICS.get(section, ())
    html = render_template(
        template, section=section, finished=finished, topics=topics, fragment=fragment, **values
    )
    response = make_response(html)
    response.headers["Cache-Control"] = "no-store" if not fragment else "private, no-cache"
    return conditional(response) if fragment else response


def install(app: Flask) -> None:
    @app.context_processor
    def add_values() -> dict[str, Any]:
        return {
            "viewer": viewer(),
            "navigation": NAVIGATION,
            "version": version(),
            "static_url": static_url,
            "csrf_field": _csrf_field,
        }


def _csrf_field() -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(csrf.FIELD, csrf.token())
