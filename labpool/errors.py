"""The one error tree. A message is the class's docstring followed by the values that matter.

``permanent`` answers the only question a caller has: can trying the very same thing again help?
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class LabpoolError(Exception):
    """Something in labpool went wrong."""

    permanent: bool = True

    def __init__(self, detail: str = "") -> None:
        self.detail = detail
        super().__init__(detail)

    def __str__(self) -> str:
        summary = (type(self).__doc__ or "").strip().splitlines()[0]
        return f"{summary} {self.detail}".strip()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a submission.

    ``pointer`` is an RFC 6901 JSON pointer into what was submitted (``""`` is the whole of it).
    """

    pointer: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" {self.suggestion}" if self.suggestion else ""
        return f"{self.pointer or '(the spec)'}: {self.message}{hint}"


class SpecError(LabpoolError):
    """The spec cannot be accepted."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class CatalogError(LabpoolError):
    """The catalog holds an entry that cannot be used."""


def pointer(*parts: str | int) -> str:
    """The RFC 6901 pointer to ``parts``: ``pointer("a/b", 0)`` is ``/a~1b/0``."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


class Unsuitable(LabpoolError):
    """These parameters cannot work together."""
