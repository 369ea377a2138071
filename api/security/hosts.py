"""Host and Origin: a page of another name must not reach this server through a browser.

The Host check stops DNS rebinding: a hostile page whose name resolves to 127.0.0.1 still sends
its own name. The Origin check stops another site's form from acting with a user's cookie.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import request

from api.problems import ApiProblem, forbidden
from labpool.settings import Settings

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_WILDCARDS = frozenset({"0.0.0.0", "::", "[::]", ""})  # noqa: S104 - compared with, never bound
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


def allowed_names(settings: Settings) -> frozenset[str]:
    """Lower-case host names this server answers to; IPv6 addresses in brackets."""
    names = set(LOOPBACK_NAMES)
    for name in (settings.host, *settings.allowed_hosts):
        plain = name.strip().lower().rstrip(".")
        if plain in _WILDCARDS:
            continue
        names.add(f"[{plain}]" if ":" in plain and not plain.startswith("[") else plain)
    return frozenset(names)


def check_host(names: frozenset[str]) -> None:
    """Refuse a request whose Host header is not one of `names` (any port)."""
    match = _HOST.fullmatch(request.headers.get("Host", ""))
    if match is None or match["name"].lower().rstrip(".") not in names:
        raise ApiProblem(
            421,
            "unknown-host",
            "This server does not answer to that host name. "
            "An administrator can add it with LABPOOL_ALLOWED_HOSTS.",
        )


def check_origin() -> None:
    """Refuse an unsafe request by cookie that did not come from one of our own pages."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in ("same-origin", "none"):
        raise forbidden("This request came from another site's page.")
    origin = request.headers.get("Origin")
    if origin is None:
        return
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.host.lower():
        raise forbidden("This request came from another site's page.")


def cookie_is_ours() -> bool:
    """Whether a safe API request with a cookie was made by our own page, or by hand.

    Browsers leave Sec-Fetch-Site out over plain HTTP to another host; SameSite=Lax then
    already keeps the cookie from other sites' scripts.
    """
    return request.headers.get("Sec-Fetch-Site") in (None, "same-origin", "none")
