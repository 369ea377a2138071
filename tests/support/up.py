"""`labpool up` as tests use it: started in a folder of its own, asked, stopped."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.child import Child, child_environment
from deploy.data_folder import read_json
from deploy.process_table import ProcessId, descendants
from labpool import Client
from tests.support.processes import assert_gone, kept_environment, wait_until

READY_S = 90.0
SMALL_MLP = {
    "kind": "train",
    "model": "mlp",
    "dataset": "spirals",
    "epochs": 2,
    "batch_size": 64,
}


class Up(Child):
    """A running `labpool up`; `before` stands before its command, `confined(…)` for one."""

    def __init__(
        self, folder: Path, *options: str, before: Sequence[str] = (), **settings: str
    ) -> None:
        self.data_dir = folder / "data"
        self.ready_file = folder / "ready.json"
        # Another home than the developer's: nothing may depend on what is in there.
        home = folder / "home"
        home.mkdir(exist_ok=True)
        settings = {"LABPOOL_SLOTS": "1", "HOME": str(home), **settings}
        super().__init__(
            "up",
            [
                *before,
                *(sys.executable, "-m", "deploy.up"),
                *("--data-dir", str(self.data_dir), "--ready-file", str(self.ready_file)),
                *(options or ("--port", "0")),
            ],
            child_environment(kept_environment(), **settings),
            folder / "up.log",
        )

    def wait_ready(self) -> dict[str, Any]:
        """What it wrote when everything was ready."""
        wait_until(
            lambda: self.ready_file.exists() or not self.running,
            READY_S,
            f"labpool up to be ready; it said:\n{self.log_tail()}",
        )
        assert self.running, self.log_tail(60)
        return read_json(self.ready_file)

    def part(self, name: str) -> int:
        """The number of the process whose command holds `name`; -1 when there is none."""
        found = [
            process.pid
            for process in descendants(self.pid)
            if name in Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace")
        ]
        return min(found, default=-1)


@contextmanager
def running_up(
    folder: Path, *options: str, before: Sequence[str] = (), **settings: str
) -> Iterator[Up]:
    """A started `labpool up`, not waited for; stopped at the end, with every process of it."""
    up = Up(folder, *options, before=before, **settings)
    up.start()
    seen: list[ProcessId] = []
    try:
        yield up
        seen = descendants(up.pid)
    finally:
        up.stop(60.0)
    assert_gone(seen)


def client_of(up: Up) -> Client:
    """A client of the service with the local user's token."""
    # Seen as the process sees it: its folder may be a disk of its own.
    known = read_json(Path(f"/proc/{up.pid}/root{up.data_dir}/client.json"))
    return Client(known["url"], known["token"])


def run_up(
    *options: str, before: Sequence[str] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    """An `up` that is expected to refuse."""
    return run_module("deploy.up", *options, before=before, **settings)


def run_module(
    module: str, *options: str, before: Sequence[str] = (), **settings: str
) -> subprocess.CompletedProcess[str]:
    """`python -m module` to its end, without the developer's own settings."""
    return subprocess.run(
        [*before, sys.executable, "-m", module, *options],
        env=child_environment(kept_environment(), LABPOOL_SLOTS="1", **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
