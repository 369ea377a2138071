"""Command lines that a page offers for copying."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from api.pages.filters import pretty_yaml


@dataclass(frozen=True, slots=True)
class Command:
    """`name` is unique on its page; `text` may have several lines."""

    name: str
    title: str
    text: str


def submit_command(spec: Mapping[str, Any]) -> str:
    """A shell command that submits this spec; nothing in it is expanded by the shell."""
    body = pretty_yaml(spec)
    mark = "SPEC"
    # A line of the spec that equals the mark would end it early.
    while mark in body.splitlines():
        mark += "_"
    return f"labpool submit - <<'{mark}'\n{body}{mark}"
