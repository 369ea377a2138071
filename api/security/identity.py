"""Who is asking: a bearer token on the API, a session cookie on the pages."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from dataclasses import dataclass

from flask import g, request

from api.context import services
from api.security.cookies import session_cookie
from db.states import Purpose
from db.users import authenticate, note_use

_LONGEST_TOKEN = 200
_NOTE_EVERY_S = 60.0
_MOST_REMEMBERED = 10_000


class _Uses:
    """When this process last noted a token's use: reading requests should stay reading ones."""

    def __init__(self) -> None:
        self._noted: dict[bytes, float] = {}
        self._lock = threading.Lock()

    def is_due(self, text: str) -> bool:
        """Whether the use is to be noted now; then it counts as noted."""
        key, now = hashlib.sha256(text.encode()).digest(), time.monotonic()
        with self._lock:
            if now - self._noted.get(key, -math.inf) < _NOTE_EVERY_S:
                return False
            if len(self._noted) >= _MOST_REMEMBERED:
                self._noted.clear()
            self._noted[key] = now
            return True


_uses = _Uses()


@dataclass(frozen=True, slots=True)
class Identity:
    """The signed-in user of this request."""

    user_id: int
    name: str
    role: str
    token_id: int

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def owns(self, owner_id: int) -> bool:
        return self.user_id == owner_id


def from_bearer() -> Identity | None:
    """The owner of the Authorization header's API token."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    return _identify(text.strip(), Purpose.API) if scheme.lower() == "bearer" else None


def from_session() -> Identity | None:
    """The owner of the session cookie."""
    return _identify(request.cookies.get(session_cookie(), ""), Purpose.SESSION)


def _identify(text: str, purpose: Purpose) -> Identity | None:
    if not text or len(text) > _LONGEST_TOKEN or not text.isascii():
        return None
    database = services().database
    with database.snapshot() as session:
        user = authenticate(session, text, purpose)
        if user is None:
            return None
        # Authenticated: it has the form lp_<id>_<secret>.
        found = Identity(user.id, user.name, user.role.value, int(text.split("_")[1]))
    if _uses.is_due(text):
        database.run(lambda session: note_use(session, text))
    return found


def set_identity(identity: Identity | None) -> None:
    g.identity = identity


def viewer() -> Identity | None:
    """The user of this request, or None on a public route without one."""
    found = g.get("identity")
    return found if isinstance(found, Identity) else None


def me() -> Identity:
    """The user of this request, on a route that let no one else in."""
    found = viewer()
    assert found is not None, "a route without a role asked for its user"
    return found
