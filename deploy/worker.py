"""`labpool worker`: this host's worker alone, for a pool whose API runs elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import click

from deploy.child import ROOT, child_environment
from deploy.command_line import data_dir_option, run, settings_with
from deploy.commands import worker_command
from deploy.data_folder import prepare_folder
from deploy.prepare import check_database


@click.command(name="worker")
@data_dir_option
@click.option("--slots", help="Trials run at once: a number, or auto.")
def main(data_dir: Path | None, slots: str | None) -> None:
    """Run this host's worker until it is told to stop.

    LABPOOL_DATABASE_URL and LABPOOL_BROKER_URL say which pool it works for; without the broker it
    still looks for work by itself, only less often.
    """

    def work() -> None:
        settings = settings_with(data_dir=data_dir, slots=slots)
        prepare_folder(settings.data_dir)
        check_database(settings)
        command = worker_command()
        os.chdir(ROOT)
        # The service manager that started this process watches and signals the worker itself.
        os.execve(command[0], command, child_environment(os.environ))  # noqa: S606

    run("labpool worker", work)


if __name__ == "__main__":
    main(prog_name="labpool worker")
