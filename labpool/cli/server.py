"""The commands that need the server's code: they become `python -m deploy.…` of the checkout."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from labpool.cli.exit_codes import ExitCode
from labpool.cli.output import say

CHECKOUT = Path(__file__).resolve().parent.parent.parent
# One of each: what the API, the worker and the commands themselves cannot do without.
NEEDED = ("sqlalchemy", "flask", "celery")
PASS_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def is_checkout(module: str) -> bool:
    """Whether the server's code is here, and not the client alone."""
    return (CHECKOUT / "deploy" / f"{module}.py").is_file()


def start(module: str, arguments: list[str]) -> None:
    """Become `python -m deploy.<module>`, or say what it lacks; never returns."""
    if not is_checkout(module):
        say(
            "labpool: only the client is installed here; this command needs the server's code.\n"
            "Clone labpool, run `make setup` there, and use that checkout's .venv/bin/labpool."
        )
        sys.exit(ExitCode.FAILED)
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        say(
            f"labpool: this Python ({sys.executable}) lacks {', '.join(missing)}.\n"
            f"Run `make setup` in {CHECKOUT} and use its .venv/bin/labpool."
        )
        sys.exit(ExitCode.FAILED)
    become(module, arguments)


def become(module: str, arguments: list[str]) -> None:
    """Become `python -m deploy.<module>`; never returns."""
    path = [str(CHECKOUT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path)),
        # A folder named deploy where the command is typed must not be taken for ours.
        "PYTHONSAFEPATH": "1",
    }
    sys.stdout.flush()
    os.execve(  # noqa: S606
        sys.executable, [sys.executable, "-m", f"deploy.{module}", *arguments], environment
    )


def handed_on(name: str, module: str, summary: str, *first: str) -> click.Command:
    """A command that becomes `python -m deploy.<module>`."""

    @click.command(name, context_settings=PASS_ON, help=summary, short_help=summary)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        start(module, [*first, *arguments])

    return command


up = handed_on("up", "up", "Run the whole service on this machine until Ctrl-C.")
demo = handed_on("demo", "demo", "Show everything once: a sweep, a network, a benchmark, a board.")
worker = handed_on("worker", "worker", "Run this host's worker for a pool elsewhere.")
user = handed_on("user", "admin", "Add, list, disable users, on the pool's machine.", "user")
token = handed_on("token", "admin", "Add, list, revoke API tokens, on the pool's machine.", "token")
