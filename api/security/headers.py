"""Response headers that keep a browser strict about our pages."""

from __future__ import annotations

from flask import Response, request

from api.problems import request_id

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_DOWNLOAD_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


def apply(response: Response) -> Response:
    """Add the security headers; views may have set a stricter or longer-lived one."""
    headers = response.headers
    attachment = headers.get("Content-Disposition", "").startswith("attachment")
    headers.setdefault(
        "Content-Security-Policy", _DOWNLOAD_POLICY if attachment else CONTENT_SECURITY_POLICY
    )
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("X-Frame-Options", "DENY")
    # "no-referrer" would make browsers send "Origin: null" with our own forms, which the Origin
    # check must refuse; "same-origin" tells other sites exactly as little.
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
    headers.setdefault("X-Request-Id", request_id())
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "private, no-cache" if response.status_code < 400 else "no-store"
    if not request.path.startswith("/static/"):
        response.vary.update(("Authorization", "Cookie", "Accept"))
    return response
