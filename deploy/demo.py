"""`labpool demo`: everything once, over HTTP, with real trials, in a few minutes.

The last line on stdout is one JSON object:
    {"trials": [{"id", "kind", "model", "state", "test_accuracy", "seconds"}, …], "board_url"}
Progress goes to stderr. The exit status is 0 only if every trial succeeded.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from deploy.address import usable_port
from deploy.child import ROOT, Child, child_environment
from deploy.command_line import run, say
from deploy.data_folder import FolderLock, prepare_folder, read_json
from deploy.errors import DeployError, PartFailed, PortUnusable
from labpool.cli.exit_codes import ExitCode
from labpool.cli.look import print_board
from labpool.cli.progress import follow
from labpool.client import Client, Snapshot, WaitTimeout
from labpool.reading import read_spec

EXAMPLES = ("lenet5_sweep.yaml", "keras_cnn.yaml", "dense_relu_cpu.yaml")
BOARDS = ("digits", "dense_relu_cpu")
MARK = "made-by-labpool-demo"
DEFAULT_PORT = 8642
READY_TIMEOUT_S = 180.0
STOP_GRACE_S = 45.0
# The demo is a show of its own: another service's settings, its artifact store above all, have no
# place in it.
SETTINGS = "LABPOOL_"


class NotADemoFolder(DeployError):
    """The folder is not the demo's to empty."""


class DemoTookTooLong(DeployError):
    """The trials did not end in the time that was given."""

    permanent = False


def fresh_folder(folder: Path) -> None:
    """Empty the demo's own folder, or make it. Anything else is left alone (NotADemoFolder)."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise NotADemoFolder(f"{folder} holds other things; name another with --data-dir.")
        prepare_folder(folder)
        # A demo that still runs keeps its folder.
        with FolderLock(folder):
            pass
        shutil.rmtree(folder)
    prepare_folder(folder)
    (folder / MARK).touch()


@contextmanager
def service(folder: Path, port: int) -> Iterator[Client]:
    """`labpool up` on a fresh folder; stopped at the end, whatever happens."""
    ready_file = folder / "run" / "ready.json"
    command = [sys.executable, "-m", "deploy.up", "--data-dir", str(folder), "--port", str(port)]
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(SETTINGS)}
    child = Child(
        "service",
        [*command, "--ready-file", str(ready_file)],
        child_environment(inherited),
        folder / "logs" / "up.log",
    )
    child.start()
    try:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not ready_file.exists():
            if not child.running or time.monotonic() > deadline:
                reason = child.end() if not child.running else "was not ready in time"
                raise PartFailed("service", reason, child.log_path, child.log_tail(30))
            time.sleep(0.05)
        known = read_json(folder / "client.json")
        with Client(known["url"], known["token"]) as client:
            yield client
    finally:
        say("Stopping the service …")
        if not child.stop(STOP_GRACE_S):
            say(f"It did not stop in {STOP_GRACE_S:g} s and was killed.")


def specs(epochs: int | None) -> list[dict[str, Any]]:
    """The demo's specs: a grid of lenet5, a keras_cnn, and the whole layer on the CPU."""
    found = []
    for name in EXAMPLES:
        spec = read_spec((ROOT / "examples" / name).read_bytes(), "yaml")
        trained = spec["base"] if spec["kind"] == "sweep" else spec
        if epochs is not None and trained["kind"] == "train":
            trained["epochs"] = epochs
        found.append(spec)
    return found


def show(client: Client, epochs: int | None, timeout_s: float) -> bool:
    """Submit, follow, print the boards and the line for programs; whether all succeeded."""
    experiments = [client.submit(spec).id for spec in specs(epochs)]
    deadline = time.monotonic() + timeout_s
    in_time = True
    try:
        snapshots = follow(client, experiments, deadline)
    except WaitTimeout:
        in_time = False
        snapshots = [client.snapshot(number) for number in experiments]
    # The last line on stdout is the programs'; everything for people stands before it.
    for name in BOARDS:
        print_board(client.board(name))
        print()
    for snapshot in snapshots:
        for trial in snapshot.trials:
            if trial.state != "succeeded":
                say(f"Trial {trial.id} ({trial.model}): {trial.state}. {trial.reason or ''}")
    _print_line(snapshots, client.page(f"/boards/{BOARDS[0]}"))
    if not in_time:
        raise DemoTookTooLong(
            f"{timeout_s:g} s. On a slow machine give it more: labpool demo --timeout 1800"
        )
    return all(snapshot.experiment.succeeded for snapshot in snapshots)


def _print_line(snapshots: list[Snapshot], board_url: str) -> None:
    trials = [
        {
            "id": trial.id,
            "kind": trial.kind,
            "model": trial.model,
            "state": trial.state,
            "test_accuracy": trial.metrics.get("test_accuracy"),
            "seconds": trial.seconds,
        }
        for snapshot in snapshots
        for trial in snapshot.trials
    ]
    print(json.dumps({"trials": trials, "board_url": board_url}), flush=True)


def _free_port() -> int:
    """The usual port, so that the demo's links hold for a later `labpool up`, or a free one."""
    try:
        return usable_port("127.0.0.1", DEFAULT_PORT)
    except PortUnusable:
        return usable_port("127.0.0.1", 0)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.command(name="demo")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".labpool-demo"),
    show_default=True,
    help="The demo's own folder; emptied first.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Fewer epochs: a quick look.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=540.0,
    show_default=True,
    help="Seconds that the trials may take.",
)
def main(data_dir: Path, epochs: int | None, timeout_s: float) -> None:
    """Start the service, run real trials over HTTP, print the leaderboard, stop."""
    signal.signal(signal.SIGTERM, _interrupt)
    folder = data_dir.absolute()
    succeeded = False

    def work() -> None:
        nonlocal succeeded
        fresh_folder(folder)
        port = _free_port()
        say("Starting the service …")
        start = time.monotonic()
        with service(folder, port) as client:
            say(f"The service is up after {time.monotonic() - start:.1f} s: {client.address.url}")
            succeeded = show(client, epochs, timeout_s)
        say(f"Look at the results again with: labpool up --data-dir {data_dir} --port {port}")

    try:
        run("labpool demo", work)
    except KeyboardInterrupt:
        say("Interrupted; everything is stopped.")
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.OK if succeeded else ExitCode.TRIALS_FAILED)


if __name__ == "__main__":
    main(prog_name="labpool demo")
