"""Text from outside, made fit for a database column."""

from __future__ import annotations

from typing import TypeVar, cast

T = TypeVar("T")


def storable(value: T) -> T:
    """``value`` with what Postgres cannot hold (NUL, lone surrogates) replaced, in depth."""
    if isinstance(value, str):
        clean = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return cast(T, clean.encode("utf-8", "replace").decode("utf-8"))
    if isinstance(value, dict):
        return cast(T, {storable(key): storable(inner) for key, inner in value.items()})
    if isinstance(value, list):
        return cast(T, [storable(inner) for inner in value])
    return value
