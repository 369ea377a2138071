"""The commands of the long-running parts, the same for `up`, for tests and for service units."""

from __future__ import annotations

import sys

from deploy.child import ROOT


def api_command() -> list[str]:
    """The API under gunicorn; LABPOOL_HOST and LABPOOL_PORT say where it listens."""
    configuration = str(ROOT / "api" / "gunicorn_config.py")
    # The control socket would go to the home folder, which may not be there to write to.
    gunicorn = [sys.executable, "-m", "gunicorn", "--no-control-socket"]
    return [*gunicorn, "--config", configuration, "api.wsgi:app"]


def worker_command() -> list[str]:
    """The worker of this host with the Celery flags it needs."""
    return [sys.executable, "-m", "worker"]
