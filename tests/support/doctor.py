"""`labpool doctor` as people run it, and what it found."""

from __future__ import annotations

import json
import subprocess
import sys

from deploy.child import child_environment
from labpool.settings import CHECKOUT
from tests.support.processes import kept_environment


def doctor(
    *options: str, python: tuple[str, ...] = (), **settings: str
) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """The exit status, and the findings by the name of what was looked at."""
    done = subprocess.run(
        [sys.executable, *python, "-m", "deploy.doctor", "--json", *options],
        env=child_environment({**kept_environment(), **settings}),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    content = json.loads(done.stdout)
    assert content["ok"] == (done.returncode == 0)
    found: dict[str, list[dict[str, str]]] = {}
    for check in content["checks"]:
        assert set(check) == {"name", "state", "says", "mend"}
        assert check["mend"] or check["state"] != "problem", check
        found.setdefault(check["name"], []).append(check)
    return done.returncode, found


def states(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """The newest state of each thing that was looked at."""
    return {name: checks[-1]["state"] for name, checks in found.items()}
