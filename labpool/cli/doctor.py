"""`labpool doctor`: what is amiss, and the command that mends it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from labpool.cli import server
from labpool.cli.exit_codes import ExitCode
from labpool.cli.options import json_option, url_option
from labpool.client.diagnosis import check_service
from labpool.diagnosis import check_python, print_report, problems


@click.command("doctor")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Default: LABPOOL_DATA_DIR or ~/.labpool",
)
@url_option
@json_option
def doctor(data_dir: Path | None, url: str | None, as_json: bool) -> None:
    """Look for what is amiss here, and name the command that mends it.

    Where only the client is installed it looks at Python, the service and the token; in a checkout
    at everything. Changes nothing. Exit status 1 when there is a problem.
    """
    if server.is_checkout("doctor"):
        arguments = [*_option("--data-dir", data_dir), *_option("--url", url)]
        # It says itself what it lacks, so nothing is asked of the environment here.
        server.become("doctor", [*arguments, *(["--json"] if as_json else [])])
    findings = [check_python(), *check_service(url)]
    print_report(findings, as_json)
    sys.exit(ExitCode.FAILED if problems(findings) else ExitCode.OK)


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [name, str(value)]
