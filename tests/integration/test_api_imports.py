"""The API's process holds no model and no GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from labpool.settings import CHECKOUT

HEAVY = {"tensorflow", "keras", "pycuda", "worker", "numpy", "sklearn", "celery"}


def test_it_works(sqlite_url: str, tmp_path: Path) -> None:
    """A fresh interpreter makes the application, serves a page, a spec and a document."""
    program = f"""
import json, sys
from pathlib import Path
from api.app import create_app
from db.engine import Database
from labpool.settings import Settings
app = create_app(Settings(data_dir=Path({str(tmp_path)!r})), database=Database({sqlite_url!r}))
client = app.test_client()
assert client.get("/sign-in").status_code == 200
assert client.get("/api/v1/openapi.json").status_code == 200
assert client.get("/api/v1/ready").status_code == 200
import api.binding, api.bodies
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert HEAVY & set(json.loads(ran.stdout)) == set()
