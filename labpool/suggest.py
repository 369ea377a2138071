"""\"Did you mean …?\""""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(word: str, known: Iterable[str]) -> str | None:
    """A sentence that offers what ``word`` was probably meant to be, or None."""
    # A long word cannot be close to a short one, and comparing it costs its length squared.
    found = get_close_matches(word[:64].lower(), list(known), n=1, cutoff=0.6)
    return f"Did you mean {found[0]!r}?" if found else None
