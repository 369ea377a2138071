"""The session of docs/command-line.md, typed as it stands against a service of its own."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.child import child_environment
from deploy.reference import PAGE
from labpool.settings import CHECKOUT
from tests.support.processes import kept_environment
from tests.support.up import running_up


@pytest.mark.timeout(400)
def test_the_session_works(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (block,) = re.findall(r"## A session\n.*?```sh\n(.*?)```", text, re.DOTALL)
    lines = block.splitlines()
    assert len(lines) > 15
    with running_up(tmp_path, LABPOOL_SLOTS="2") as up:
        up.wait_ready()
        settings = {"LABPOOL_DATA_DIR": str(up.data_dir)}
        for line in lines:
            done = subprocess.run(
                [
                    *(sys.executable, "-c", "from labpool.cli import main; main()"),
                    *shlex.split(line)[1:],
                ],
                env=child_environment({**kept_environment(), **settings}),
                cwd=CHECKOUT,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            assert done.stdout or done.stderr, line
