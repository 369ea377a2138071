"""``python -m worker``: this host's worker, with the options that it needs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

LEVELS = ("debug", "info", "warning", "error")


def celery_arguments(level: str) -> list[str]:
    """Celery's own arguments.

    One thread of control suffices: the one task sets an event. Gossip, mingling and Celery's
    heartbeats would be talk between workers that need not know of each other.
    """
    return [
        "worker",
        "--pool=solo",
        "--concurrency=1",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        f"--hostname=labpool-{os.getpid()}@%h",
        f"--loglevel={level}",
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the worker until it is told to stop."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--loglevel", choices=LEVELS, default="info")
    options = parser.parse_args(arguments)
    sys.exit(run(celery_arguments(options.loglevel)))


def run(celery_arguments: Sequence[str]) -> int:
    """Run Celery's worker; its exit status, which `app.start` drops with click 8.2 and newer.

    A worker that Celery gave up must not look as if it had been told to stop: nobody would start
    it again.
    """
    import click
    from celery.bin.celery import celery

    from worker.app import app

    app.set_current()
    celery.params[0].default = app
    try:
        status = celery.main(args=list(celery_arguments), standalone_mode=False)
    except click.exceptions.Exit as end:
        status = end.exit_code
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    main()
