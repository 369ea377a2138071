"""How gunicorn serves the API: one process with threads, so that SQLite and the bell are shared."""

from __future__ import annotations

import os
import sys
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from api.binding import check_binding
from api.context import services_of
from db.engine import Database
from db.migrate import check
from db.users import count_users
from labpool.errors import LabpoolError
from labpool.settings import load_settings

_settings = load_settings()
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

bind = [f"{_host}:{_settings.port}"]
worker_class = "gthread"
workers = 1
# Each event stream holds a thread for minutes; ordinary requests have theirs beside them.
REQUEST_THREADS = 16
threads = REQUEST_THREADS + _settings.max_streams
timeout = 60
graceful_timeout = 8
keepalive = 5
# A request line of 4 KiB holds any filter; longer ones are attacks or mistakes.
limit_request_line = 4094
limit_request_fields = 64
# Without the query: a sign-in link's secret must not end up in a log.
access_log_format = "%(t)s %(m)s %(U)s %(s)s %(B)s %(M)sms"
accesslog = None
errorlog = "-"
loglevel = "info"
# Gunicorn's own console would put a socket into the home folder; nothing here uses it.
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if sys.platform == "linux" else None  # noqa: S108 - heartbeat file


def on_starting(server: Any) -> None:
    """Before anything is bound: refuse an open address while nobody could sign in."""
    database = Database(_settings.database)
    try:
        check(database)
        with database.snapshot() as session:
            users = count_users(session)
        for address in server.cfg.address:
            # A unix socket is given as its path.
            if isinstance(address, tuple):
                check_binding(address[0], users)
    except LabpoolError as error:
        sys.exit(f"labpool: {error}")
    except (SQLAlchemyError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        sys.exit(f"labpool: The database does not answer. {reason}")
    finally:
        database.dispose()


def post_worker_init(worker: Any) -> None:
    """After the application is loaded: its event streams end when the worker has to.

    A worker whose parent was killed is told by nobody; it waits for its requests to end.
    """
    parent = os.getppid()
    services_of(worker.wsgi).hub.stop_when(lambda: not worker.alive or os.getppid() != parent)
