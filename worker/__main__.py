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
    from worker.app import app

    sys.exit(app.start(celery_arguments(options.loglevel)))


if __name__ == "__main__":
    main()
