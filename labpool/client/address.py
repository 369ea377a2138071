"""Which service to use, and with which token."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from labpool.client.errors import BadAddress, NoService
from labpool.settings import load_settings

URL_VARIABLE = "LABPOOL_URL"
TOKEN_VARIABLE = "LABPOOL_TOKEN"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Address:
    """The service's address and the caller's token."""

    url: str
    token: str | None = field(default=None, repr=False)


def find_address(
    url: str | None = None,
    token: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Address:
    """The arguments, else LABPOOL_URL and LABPOOL_TOKEN, else what `labpool up` left behind.

    The token in client.json goes to the service that wrote it and to no other.
    Raises NoService, BadAddress, WrongSettings.
    """
    source = f"{URL_VARIABLE}" if url is None else "--url, or what the script gives"
    url = url or environment.get(URL_VARIABLE)
    token = token or environment.get(TOKEN_VARIABLE)
    if url is None or token is None:
        path = load_settings().data_dir / "client.json"
        written = _read(path)
        if url is None and written is None:
            raise NoService(str(path))
        if written is not None and (url is None or url.rstrip("/") == written.url):
            url, token = written.url, token or written.token
    assert url is not None
    if not is_address(url):
        raise BadAddress(f"{url!r}; it comes from {source}.")
    return Address(url.rstrip("/"), token)


def is_address(url: str) -> bool:
    """Whether this can be a service's address: a scheme and a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _read(path: Path) -> Address | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Address(str(content["url"]).rstrip("/"), str(content["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
