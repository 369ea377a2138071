"""CSRF tokens: an HMAC keyed by a cookie that scripts and other sites cannot read.

The key is the session cookie's text, or before sign-in that of a short-lived cookie made for the
form. No server-side secret is needed, and signing out voids every form of the session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from flask import Response, g, request

from api.problems import forbidden
from api.security.cookies import form_cookie, session_cookie, set_cookie

FIELD = "csrf_token"
HEADER = "X-CSRF-Token"
_FORM_COOKIE_LIFETIME_S = 3600


def token() -> str:
    """The token to put into a form of the page now being made."""
    key = request.cookies.get(session_cookie()) or request.cookies.get(form_cookie())
    if not key:
        key = g.get("form_cookie") or secrets.token_urlsafe(32)
        g.form_cookie = key
    return _sign(key)


def check() -> None:
    """Refuse a form whose token does not fit its cookie."""
    _check(request.form.get(FIELD, ""))


def check_header() -> None:
    """The same for a request that a page's script makes: the form's token is in a header."""
    _check(request.headers.get(HEADER, ""))


def _check(given: str) -> None:
    for name in (session_cookie(), form_cookie()):
        key = request.cookies.get(name)
        if key and hmac.compare_digest(_sign(key).encode(), given.encode("utf-8", "replace")):
            return
    raise forbidden("This form is out of date. Go back, reload the page and send it again.")


def remember(response: Response) -> None:
    """Send the form's cookie when this page made one."""
    key = g.pop("form_cookie", None)
    if key is not None:
        set_cookie(response, form_cookie(), key, _FORM_COOKIE_LIFETIME_S)


def _sign(key: str) -> str:
    return hmac.new(key.encode(), b"labpool form token 1", hashlib.sha256).hexdigest()
