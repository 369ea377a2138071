"""The client as `pip install labpool` leaves it: only the base dependencies, no server code.

Nothing is downloaded: a folder is made of links to the installed packages that labpool's base
dependencies need, and a Python that sees nothing else runs from it.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from labpool.settings import CHECKOUT
from tests.support.processes import free_port, kept_environment

HEAVY = ("alembic", "celery", "flask", "kombu", "numpy", "sqlalchemy", "tensorflow")


def closure(name: str) -> set[str]:
    """What installing `name` without extras brings, by the metadata of what is installed."""
    found: set[str] = set()
    waiting = [Requirement(name)]
    while waiting:
        wanted = waiting.pop()
        extras = wanted.extras or {""}
        for text in importlib.metadata.requires(wanted.name) or ():
            needed = Requirement(text)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                key = re.sub(r"[-_.]+", "-", needed.name).lower()
                if key not in found:
                    found.add(key)
                    waiting.append(needed)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site-packages of the client alone."""
    folder = tmp_path_factory.mktemp("client-alone")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "labpool", folder / "labpool", ignore=ignored)
    for name in closure("labpool"):
        files = importlib.metadata.files(name)
        assert files, name
        root = Path(str(importlib.metadata.distribution(name).locate_file("")))
        tops = {file.parts[0] for file in files} - {"..", "__pycache__"}
        for top in tops:
            source = root / top
            if source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def alone(site: Path, program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a Python that knows the standard library and that folder."""
    # -I and -S: neither this environment's packages nor PYTHONPATH nor the current folder.
    start = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", start + program],
        env={**kept_environment(), **settings},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def labpool(site: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    program = f"from labpool.cli import main; main({list(arguments)!r}, prog_name='labpool')"
    return alone(site, program, **settings)


def test_it_works(site: Path) -> None:
    result = alone(site, "import labpool, labpool.client, labpool.cli; labpool.Client")
    assert result.returncode == 0, result.stderr
    result = labpool(site, "--help")
    assert result.returncode == 0, result.stderr
    assert "compare" in result.stdout


@pytest.mark.parametrize("name", HEAVY)
def test_the_servers_dependencies_are_not_there(site: Path, name: str) -> None:
    result = alone(site, f"import {name}")
    assert "ModuleNotFoundError" in result.stderr


def test_the_schema_is_printed(site: Path) -> None:
    assert "$schema" in json.loads(labpool(site, "schema").stdout)


def test_a_command_of_the_server_says_what_it_needs(site: Path) -> None:
    result = labpool(site, "up")
    assert result.returncode == 1
    assert "only the client is installed here" in result.stderr


def test_the_doctor_looks_at_what_is_there(site: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    result = labpool(site, "doctor", "--json", LABPOOL_URL=url, LABPOOL_TOKEN="lp_1_x")
    assert result.returncode == 1, result.stderr
    names = [check["name"] for check in json.loads(result.stdout)["checks"]]
    assert names == ["python", "service"]


def test_a_notebook_without_pandas_is_told_so(site: Path) -> None:
    result = alone(site, "from labpool.client import Curves; Curves(1).to_pandas()")
    assert "pip install pandas" in result.stderr
