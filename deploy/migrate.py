"""`python -m deploy.migrate`: bring the database to this code's revision, and nothing else."""

from __future__ import annotations

import click

from db.migrate import current_revision
from deploy.command_line import run, say, settings_with
from deploy.data_folder import prepare_folder
from deploy.prepare import open_database


@click.command(name="migrate")
def main() -> None:
    """Create or upgrade the database that the settings name."""

    def work() -> None:
        settings = settings_with()
        prepare_folder(settings.data_dir)
        database = open_database(settings)
        say(f"The database is at revision {current_revision(database)}.")
        database.dispose()

    run("python -m deploy.migrate", work)


if __name__ == "__main__":
    main(prog_name="python -m deploy.migrate")
