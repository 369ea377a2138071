"""What the server's commands share: options, errors in words, one exit status a kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from labpool.errors import LabpoolError
from labpool.settings import Settings, WrongSettings, load_settings

FAILED_STATUS = 1
# Which settings came as options, so that complaints name what the person wrote.
_OPTIONS_GIVEN: dict[str, str] = {}


def say(text: str) -> None:
    """Tell the person at the terminal; stdout stays for what programs read."""
    print(text, file=sys.stderr, flush=True)


def data_dir_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data-dir`, which wins over LABPOOL_DATA_DIR."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Default: LABPOOL_DATA_DIR or ~/.labpool",
    )(command)


def settings_with(**given: object) -> Settings:
    """The environment's settings, overruled by the options that were given."""
    for name, value in given.items():
        if value is not None:
            variable = f"LABPOOL_{name.upper()}"
            os.environ[variable] = str(value)
            _OPTIONS_GIVEN[variable] = f"--{name.replace('_', '-')}"
    return load_settings()


def run(name: str, work: Callable[[], None]) -> None:
    """Do the work; an error that labpool knows ends the process with its words, no trace."""
    try:
        work()
    except WrongSettings as error:
        for variable, says in error.problems:
            shown = _OPTIONS_GIVEN.get(variable, variable)
            say(f"{name}: {shown}: {says}" if shown else f"{name}: {says}")
        sys.exit(FAILED_STATUS)
    except LabpoolError as error:
        say(f"{name}: {error}")
        sys.exit(FAILED_STATUS)
    except BrokenPipeError:
        # The reader of our output has gone; so do we, without another write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED_STATUS)
