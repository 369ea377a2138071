"""`labpool watch`: progress, loss, metric and time left until the trials end."""

from __future__ import annotations

import sys
import time

import click

from labpool.cli.exit_codes import ExitCode
from labpool.cli.options import NUMBER, connect, json_option, url_option
from labpool.cli.output import print_json, say
from labpool.cli.progress import follow
from labpool.client import Client, WaitTimeout


@click.command("watch")
@click.argument("experiments", metavar="EXPERIMENT…", type=NUMBER, nargs=-1, required=True)
@click.option("--timeout", "timeout_s", type=float, help="Seconds to stay at most.")
@url_option
@json_option
def watch(
    experiments: tuple[int, ...], timeout_s: float | None, url: str | None, as_json: bool
) -> None:
    """Watch experiments until every trial has ended. The trials do not mind Ctrl-C.

    Bars with loss, metric and time left on a terminal, a line a change elsewhere, both on stderr;
    --json prints the experiments with their trials on stdout when they have ended. While the
    service is away it keeps trying.
    """
    with connect(url) as client:
        watch_experiments(client, list(experiments), timeout_s, as_json)


def watch_experiments(
    client: Client, experiments: list[int], timeout_s: float | None = None, as_json: bool = False
) -> None:
    """Show progress to the end; exits with TRIALS_FAILED unless all is well."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        snapshots = follow(client, experiments, deadline)
    except WaitTimeout as error:
        say(f"labpool: {error}")
        sys.exit(ExitCode.TIMED_OUT)
    if as_json:
        print_json([snapshot.model_dump(mode="json") for snapshot in snapshots])
    if not all(snapshot.experiment.succeeded for snapshot in snapshots):
        sys.exit(ExitCode.TRIALS_FAILED)
