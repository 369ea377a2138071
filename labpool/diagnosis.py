"""What `labpool doctor` finds, and how it says it.

Imported by Pythons that are too old for the rest of labpool, to tell them so: nothing but the
standard library, and no syntax newer than Python 3.8 (annotations are never evaluated).
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OK = "ok"
NOTE = "note"
PROBLEM = "problem"
OLDEST_PYTHON = (3, 11)
# TensorFlow has wheels for the versions before this one.
TOO_NEW_PYTHON = (3, 14)
DEFAULT_WIDTH = 100


class Finding(NamedTuple):
    """One thing that was looked at.

    `state` is ok, note (worth knowing, nothing to mend) or problem; `mend` is the command, or the
    few words, that put it right or lead on.
    """

    name: str
    state: str
    says: str
    mend: str = ""


def ok(name: str, says: str) -> Finding:
    """All is well."""
    return Finding(name, OK, says)


def note(name: str, says: str, mend: str = "") -> Finding:
    """Worth knowing."""
    return Finding(name, NOTE, says, mend)


def problem(name: str, says: str, mend: str) -> Finding:
    """Something to put right, and how."""
    return Finding(name, PROBLEM, says, mend)


def check_python(version: tuple[int, ...] | None = None) -> Finding:
    """Whether this Python can run labpool."""
    version = version or tuple(sys.version_info[:3])
    shown = ".".join(map(str, version))
    if OLDEST_PYTHON <= version[:2] < TOO_NEW_PYTHON:
        return ok("python", f"Python {shown} ({sys.executable})")
    says = f"Python {shown} ({sys.executable}); labpool needs 3.11, 3.12 or 3.13."
    return problem("python", says, "make setup PYTHON=/path/to/python3.12")


def print_report(
    findings: Sequence[Finding], as_json: bool, stream: TextIO | None = None, width: int = 0
) -> None:
    """All findings: a table with an arrow before each remedy, or one JSON object."""
    stream = stream or sys.stdout
    if as_json:
        content = {
            "ok": not problems(findings),
            "checks": [finding._asdict() for finding in findings],
        }
        print(json.dumps(content), file=stream)
        return
    width = width or (
        shutil.get_terminal_size((DEFAULT_WIDTH, 24)).columns if stream.isatty() else DEFAULT_WIDTH
    )
    margin = max((len(finding.name) for finding in findings), default=0) + len(PROBLEM) + 4
    for finding in findings:
        head = finding.state.ljust(len(PROBLEM) + 2) + finding.name
        lines = _wrapped(finding.says, width - margin)
        # A command stays on one line, to be copied.
        lines += ["→ " + line for line in finding.mend.splitlines()]
        for index, line in enumerate(lines):
            print((head if index == 0 else "").ljust(margin) + line, file=stream)
    found = problems(findings)
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    print(count + "." if found else "Nothing is amiss.", file=stream)


def problems(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that have to be put right."""
    return [finding for finding in findings if finding.state == PROBLEM]


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line, max(40, width), break_on_hyphens=False, break_long_words=False
        ) or [""]
    return lines or [""]
