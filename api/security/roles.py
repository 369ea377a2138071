"""Each route says who may use it; an application with a silent route does not start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from flask import Flask

Role = Literal["public", "member", "admin"]
View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "labpool_access"
_RANK: dict[str, int] = {"public": 0, "member": 1, "admin": 2}


@dataclass(frozen=True, slots=True)
class Access:
    """Least role for a route.

    `session` lets a page's script read it with the cookie; `form_token` lets it POST there with the
    cookie and the page's form token.
    """

    role: Role
    session: bool = False
    form_token: bool = False

    def allows(self, role: str) -> bool:
        """Whether a user of `role` (a database role; unknown ones rank lowest) may pass."""
        return _RANK.get(role, 0) >= _RANK[self.role]


class UndeclaredRoute(RuntimeError):
    """Routes without a declared role"""


def allow(role: Role, *, session: bool = False, form_token: bool = False) -> Callable[[View], View]:
    """Declare the least role for a view. Put it right above the function.

    `session=True` marks a read-only API route that our own pages fetch or link to, so that the
    browser's session cookie will do there; everywhere else the API wants the bearer header.
    `form_token=True` does the same for a POST that changes nothing, given the page's form token.
    """

    def decorate(view: View) -> View:
        setattr(view, _ATTRIBUTE, Access(role, session, form_token))
        return view

    return decorate


def access_of(app: Flask, endpoint: str) -> Access | None:
    """The declaration of one endpoint, or None when there is none."""
    found = getattr(app.view_functions.get(endpoint), _ATTRIBUTE, None)
    return found if isinstance(found, Access) else None


def require_declarations(app: Flask) -> None:
    """Raise UndeclaredRoute when any rule of the URL map has no declared role."""
    silent = sorted(
        f"{rule.rule} ({rule.endpoint})"
        for rule in app.url_map.iter_rules()
        if access_of(app, rule.endpoint) is None
    )
    if silent:
        raise UndeclaredRoute("routes without a declared role: " + ", ".join(silent))
