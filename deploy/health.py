"""`python -m deploy.health api|worker`: status 0 when that part of this host is well."""

from __future__ import annotations

import socket
import sys

import click
from sqlalchemy import select

from db.engine import Database
from db.models import Worker
from db.workers import alive
from deploy.address import url_of
from deploy.command_line import run, say, settings_with
from deploy.stack import answers
from labpool.settings import Settings


def api_is_well(settings: Settings) -> bool:
    """Whether the API answers that it is ready."""
    return answers(f"{url_of(settings.host, settings.port)}/api/v1/ready")


def worker_is_well(settings: Settings) -> bool:
    """Whether a worker of this host was heard of lately."""
    database = Database(settings.database)
    try:
        with database.snapshot() as session:
            heard = select(Worker.id).where(Worker.host == socket.gethostname(), alive())
            return session.scalars(heard).first() is not None
    finally:
        database.dispose()


@click.command(name="health")
@click.argument("part", type=click.Choice(["api", "worker"]))
def main(part: str) -> None:
    """Ask one part of this host how it is."""

    def work() -> None:
        check = api_is_well if part == "api" else worker_is_well
        if not check(settings_with()):
            say(f"The {part} is not well.")
            sys.exit(1)

    run("python -m deploy.health", work)


if __name__ == "__main__":
    main(prog_name="python -m deploy.health")
