"""Cookies of the pages. Names carry the port: cookies of one host are shared by all its ports."""

from __future__ import annotations

from flask import Response, request

from api.context import services


def session_cookie() -> str:
    return f"labpool_session_{services().settings.port}"


def form_cookie() -> str:
    return f"labpool_form_{services().settings.port}"


def set_cookie(response: Response, name: str, value: str, lifetime_s: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=lifetime_s,
        path="/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=request.is_secure, httponly=True, samesite="Lax")
