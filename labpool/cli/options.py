"""Options and behaviour that commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from labpool.cli.exit_codes import ExitCode, exit_code_of
from labpool.cli.output import say
from labpool.client import Client
from labpool.errors import LabpoolError

Command = Callable[..., Any]
# The number of an experiment or a trial, as far as the service counts.
NUMBER = click.IntRange(1, 2**63 - 1)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def url_option(command: Command) -> Command:
    """`--url`, handed to the command as `url`."""
    return click.option(
        "--url", help="The service. Default: LABPOOL_URL, else the one running on this machine."
    )(command)


def filter_options(command: Command) -> Command:
    """The filters of experiments and trials, handed on as keywords of the same names."""
    for name, help_text in (
        ("dataset", "Only on this data set."),
        ("model", "Only of this model or kernel."),
        ("state", "Only with trials in this state."),
        ("kind", "Only train, sweep or benchmark."),
        ("owner", "Only this user's."),
    ):
        command = click.option(f"--{name}", help=help_text)(command)
    return command


def limit_option(most: int, default: int, what: str) -> Callable[[Command], Command]:
    """`--limit`, handed to the command as `limit`."""
    return click.option(
        "--limit",
        type=click.IntRange(1, most),
        default=default,
        show_default=True,
        help=f"Print at most this many {what}.",
    )


def connect(url: str | None) -> Client:
    """A client for `url`, or for the service that is found."""
    return Client(url)


class LabpoolGroup(click.Group):
    """Commands in the order in which they were added; known errors become words and a status."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except LabpoolError as error:
            say(f"labpool: {error}")
            context.exit(exit_code_of(error))
        except KeyboardInterrupt:
            say("Interrupted.")
            context.exit(ExitCode.INTERRUPTED)
