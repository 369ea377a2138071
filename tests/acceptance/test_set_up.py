"""`make setup` where something is amiss. A stand-in Python takes the place of the real one, so that
nothing is downloaded; the whole of it is what `.ci/run` does in a fresh clone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labpool.settings import CHECKOUT

# Makes a venv of itself and "installs" by writing down what it was asked.
PYTHON = """#!/bin/sh
case "$*" in
    *sys.exit*) exit {unfit} ;;
    *"sys.version_info[:3]"*) echo {version} ;;
    *ensurepip*) exit {no_venv} ;;
    --version) echo "Python {version}" ;;
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *"-m pip"*) echo "$*" >> "{log}"; {pip} ;;
esac
"""


TOOLS = "/usr/local/bin:/usr/bin:/bin"


class Checkout:
    """A copy of what set-up needs, with a stand-in for Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "pip.log"
        for name in ("Makefile", "pyproject.toml", "requirements", "deploy/environment.sh"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
            copy(CHECKOUT / name, target)
        self.python()

    def python(
        self, version: str = "3.12.1", unfit: int = 0, no_venv: int = 0, pip: str = "exit 0"
    ) -> None:
        path = self.folder / "python-stand-in"
        path.write_text(
            PYTHON.format(version=version, unfit=unfit, no_venv=no_venv, pip=pip, log=self.log)
        )
        path.chmod(0o755)

    def make(self, target: str = "setup") -> subprocess.CompletedProcess[str]:
        return self.run("make", target, f"PYTHON={self.folder / 'python-stand-in'}")

    def run(self, *command: str, path: str = TOOLS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={"PATH": path, "HOME": str(self.folder / "no-home")},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def installs(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_it_works_and_a_second_run_does_nothing(checkout: Checkout) -> None:
    assert checkout.make().returncode == 0
    assert checkout.installs == 2
    assert "--require-hashes -r requirements/server.lock" in checkout.log.read_text()
    assert "--no-index --editable ." in checkout.log.read_text()
    assert checkout.make().returncode == 0
    assert checkout.installs == 2


def test_a_changed_lock_is_installed(checkout: Checkout) -> None:
    checkout.make()
    with (checkout.folder / "requirements" / "server.lock").open("a") as lock:
        lock.write("# changed\n")
    assert checkout.make().returncode == 0
    assert checkout.installs == 4


def test_the_development_environment_serves_both(checkout: Checkout) -> None:
    checkout.make("setup-dev")
    installs = checkout.installs
    assert checkout.make("setup").returncode == 0
    assert checkout.installs == installs


def test_an_interrupted_set_up_is_redone(checkout: Checkout) -> None:
    checkout.python(pip="kill -INT $PPID; exit 130")
    assert checkout.make().returncode != 0
    (checkout.folder / ".venv" / "half-done").touch()
    checkout.python()
    result = checkout.make()
    assert result.returncode == 0
    assert "starting afresh" in result.stderr
    assert not (checkout.folder / ".venv" / "half-done").exists()


def test_a_failed_installation_says_what_to_look_at(checkout: Checkout) -> None:
    checkout.python(pip="echo 'no network' >&2; exit 1")
    result = checkout.make()
    assert result.returncode != 0
    assert "no network" in result.stderr
    assert "df -h" in result.stderr
    checkout.python()
    assert checkout.make().returncode == 0


def test_an_old_python_is_named(checkout: Checkout) -> None:
    checkout.python(version="3.9.2", unfit=1)
    result = checkout.make()
    assert result.returncode != 0
    assert "is 3.9.2" in result.stderr
    assert "3.11, 3.12 or 3.13" in result.stderr
    assert not (checkout.folder / ".venv").exists()


def test_an_old_python3_on_the_path_is_named_and_a_second_try_works(checkout: Checkout) -> None:
    checkout.python(version="3.9.2", unfit=1)
    folder = checkout.folder / "path"
    folder.mkdir()
    # Every name that is tried, so that none of this machine's own is found.
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python"):
        (folder / name).symlink_to(checkout.folder / "python-stand-in")
    result = checkout.run("make", "setup", path=f"{folder}:{TOOLS}")
    assert result.returncode != 0
    assert "python3 is 3.9.2" in result.stderr
    assert "make setup PYTHON=/path/to/python3.12" in result.stderr
    assert "Install one" in result.stderr
    checkout.python()
    assert checkout.run("make", "setup", path=f"{folder}:{TOOLS}").returncode == 0
    assert checkout.installs == 2


def test_a_python_without_venv_names_the_package(checkout: Checkout) -> None:
    checkout.python(no_venv=1)
    result = checkout.make()
    assert result.returncode != 0
    assert "apt install python3-venv" in result.stderr


def test_make_alone_helps(checkout: Checkout) -> None:
    result = checkout.make("help")
    assert result.returncode == 0
    for target in ("setup", "demo", "test", "check", "lock", "clean"):
        assert f"make {target} " in result.stdout
