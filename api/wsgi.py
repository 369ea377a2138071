"""The application for a WSGI server: `gunicorn --config api/gunicorn_config.py api.wsgi:app`."""

from __future__ import annotations

from api.app import create_app
from api.binding import check_binding
from db.engine import Database
from db.migrate import check
from db.users import count_users
from labpool.settings import load_settings

_settings = load_settings()
_database = Database(_settings.database)
check(_database)
with _database.snapshot() as _session:
    check_binding(_settings.host, count_users(_session))

app = create_app(_settings, database=_database)
