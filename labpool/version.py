"""Which labpool this is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from subprocess import DEVNULL, CalledProcessError, check_output

from labpool import __version__


@cache
def git_revision() -> str | None:
    """The checkout's commit, with ``+changes`` if it was edited; None outside a checkout."""
    checkout = Path(__file__).resolve().parent.parent
    try:
        commit = _git(checkout, "rev-parse", "HEAD")
        changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    except (OSError, CalledProcessError):
        return None
    return f"{commit}+changes" if changed else commit


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return check_output(command, stderr=DEVNULL, text=True, timeout=10).strip()


def version() -> str:
    """labpool's version."""
    return __version__
