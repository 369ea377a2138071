"""The API over a real database, with the same people in every test.

The cast: `owner` submits, `teammate` is another member, `admin` runs the pool, `anonymous` has no
token. A test of who may do what asks all four.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from api.app import create_app
from api.context import services
from db import claims, findings, owner, users
from db.engine import Database
from db.models import Base, Experiment, IdempotencyKey, Trial
from labpool.catalog import Catalog
from labpool.settings import Settings
from tests.support import pool

# Cookies are named for it; nothing listens there.
PORT = 8642
CAST = {"owner": "member", "teammate": "member", "admin": "admin"}
TRAIN: dict[str, Any] = {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 3}
GRID: dict[str, Any] = {
    "kind": "sweep",
    "name": "rates",
    "base": {"kind": "train", "model": "lenet5", "dataset": "digits", "epochs": 4},
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [0.01, 0.001], "batch_size": [16, 32]},
}
BENCHMARK: dict[str, Any] = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}


class RecordingBell:
    """Counts rings instead of sending them."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1

    def close(self, wait_s: float = 2.0) -> None:
        pass


@dataclass
class Person:
    """One of the cast: speaks to the API with their token."""

    client: FlaskClient
    name: str
    token: str | None

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return {**own, **(more or {})}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        return self.client.get(path, headers=self._headers(headers))

    def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        given = {} if body is None else {"json": body}
        return self.client.post(path, headers=self._headers(headers), **given)

    def send(
        self, method: str, path: str, data: bytes | str, media_type: str, **headers: str
    ) -> TestResponse:
        """Any method with a body as it is written."""
        return self.client.open(
            path,
            method=method,
            data=data,
            content_type=media_type,
            headers=self._headers({key.replace("_", "-"): value for key, value in headers.items()}),
        )

    def submit(self, spec: Mapping[str, Any] | None = None, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post("/api/v1/experiments", dict(spec or TRAIN), named)


@dataclass
class Api:
    """An application with its parts, and the cast."""

    app: Flask
    database: Database
    catalog: Catalog
    bell: RecordingBell
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def owner(self) -> Person:
        return self.people["owner"]

    @property
    def teammate(self) -> Person:
        return self.people["teammate"]

    @property
    def admin(self) -> Person:
        return self.people["admin"]

    @property
    def anonymous(self) -> Person:
        return self.people["anonymous"]

    def submitted(self, spec: Mapping[str, Any] | None = None) -> tuple[int, list[int]]:
        """The owner's experiment and its trials."""
        answer = self.owner.submit(spec)
        assert answer.status_code == 201, answer.text
        body = answer.get_json()
        return body["experiment"]["id"], [trial["id"] for trial in body["trials"]]

    def stored(self) -> dict[str, int]:
        """How many rows of submissions there are."""
        with self.database.snapshot() as session:
            tables: tuple[type[Base], ...] = (Experiment, Trial, IdempotencyKey)
            return {
                table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
                for table in tables
            }

    def browser(self, name: str = "owner") -> Browser:
        """Somebody's browser, signed in."""
        with self.database.transaction() as session:
            user = users.find_user(session, name)
            assert user is not None
            _, text = users.issue_token(session, user, "session", "test", None)
        client = self.app.test_client()
        client.set_cookie(f"labpool_session_{PORT}", text, domain="localhost")
        return Browser(client)

    def put_file(self, key: str, data: bytes, folder: Path) -> str:
        """Store `data` under `key`; its sha256."""
        source = folder / "upload"
        source.write_bytes(data)
        with self.app.app_context():
            services().store.put(key, source)
        return hashlib.sha256(data).hexdigest()


@dataclass
class Browser:
    """A browser with a session cookie, which sends what browsers send."""

    client: FlaskClient

    def get(self, path: str, **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.get(path, headers={"Accept": "text/html", **named})

    def form_token(self, path: str) -> str:
        page = self.get(path).text
        mark = 'name="csrf_token" value="'
        return page.partition(mark)[2].partition('"')[0]

    def send(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> TestResponse:
        own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        return self.client.post(path, data=dict(form), headers={**own, **(headers or {})})


def make_api(database: Database, catalog: Catalog, folder: Path, **settings: Any) -> Api:
    """An application over `database` with the cast in it."""
    bell = RecordingBell()
    app = create_app(
        Settings(**{"data_dir": folder / "data", "port": PORT, **settings}),
        database=database,
        catalog=catalog,
        bell=bell,  # type: ignore[arg-type]
    )
    app.testing = False
    api = Api(app, database, catalog, bell)
    with database.transaction() as session:
        for name, role in CAST.items():
            user = users.add_user(session, name, role)
            _, text = users.issue_token(session, user, "api", "test", None)
            api.people[name] = Person(app.test_client(use_cookies=False), name, text)
    api.people["anonymous"] = Person(app.test_client(use_cookies=False), "anonymous", None)
    return api


def problem_of(answer: TestResponse, status: int) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    body = json.loads(answer.data)
    assert body["status"] == status
    assert body["type"].startswith("urn:labpool:problem:")
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    return dict(body)


def claimed(api: Api, slot: claims.SlotIdentity | None = None) -> claims.ClaimedTrial:
    """The next trial of the queue, claimed by a slot."""
    with api.database.transaction() as session:
        taker = slot or pool.slot(session, api.catalog)
        claim = claims.claim(session, taker, 90.0)
        assert claim is not None
        [trial] = claim.trials
        environment = {
            "device": "cpu",
            "device_name": "Test CPU",
            "threads": 1,
            "deterministic": True,
            "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
        }
        owner.note_started(session, trial.trial_id, trial.fence, environment)
    return trial


def epochs(
    api: Api, trial: claims.ClaimedTrial, numbers: range, lift: float = 0.0, total: float = 0
) -> None:
    """Curves of a training run for these epochs, as a worker records them."""
    curves: dict[str, list[float | None]] = {
        "loss": [2.2 * math.exp(-n / 3) + 0.05 for n in numbers],
        "val_loss": [2.2 * math.exp(-n / 3.4) + 0.11 for n in numbers],
        "accuracy": [0.99 - 0.8 * math.exp(-n / 2) for n in numbers],
        "val_accuracy": [0.96 + lift - 0.8 * math.exp(-n / 2.2) for n in numbers],
        "learning_rate": [0.001 * 0.95**n for n in numbers],
    }
    chunks = [
        findings.Chunk(
            name=name,
            steps=[n * 40 for n in numbers],
            epochs=[float(n) for n in numbers],
            times_s=[n * 1.5 for n in numbers],
            values=values,
        )
        for name, values in curves.items()
    ]
    with api.database.transaction() as session:
        findings.record_metrics(session, trial.trial_id, trial.fence, chunks)
        if total:
            lease = session.get_one(Trial, trial.trial_id).lease_id
            assert lease is not None
            progress = {trial.trial_id: (float(numbers[-1]), float(total), "epoch")}
            owner.heartbeat(session, lease, {trial.trial_id: trial.fence}, 90.0, progress)


def succeeded(
    api: Api, trial: claims.ClaimedTrial, accuracy: float = 0.97, **metrics: float
) -> None:
    """The end of a trial with its result."""
    found = metrics or {"test_accuracy": accuracy, "test_loss": 0.11, "val_accuracy": accuracy}
    with api.database.transaction() as session:
        owner.succeed(session, trial.trial_id, trial.fence, found, {})
        _end_lease(session, trial)


def failed(api: Api, trial: claims.ClaimedTrial, reason: str, log_tail: str = "") -> None:
    """The end of a trial without one."""
    with api.database.transaction() as session:
        owner.fail(session, trial.trial_id, trial.fence, "crashed", reason, log_tail)
        _end_lease(session, trial)


def released(api: Api, trial: claims.ClaimedTrial, reason: str = "the worker stops") -> None:
    """A trial given back to the queue."""
    with api.database.transaction() as session:
        owner.release(session, trial.trial_id, trial.fence, reason)
        _end_lease(session, trial)


def checkpoint(
    api: Api, trial: claims.ClaimedTrial, epoch: int, data: bytes, folder: Path, best: bool = False
) -> str:
    """A checkpoint in the store and its row; its sha256."""
    key = f"trials/{trial.trial_id}/{trial.fence}/epoch-{epoch}.npz"
    sha256 = api.put_file(key, data, folder)
    record = findings.CheckpointRecord(epoch, key, sha256, len(data), 0.9, best)
    with api.database.transaction() as session:
        findings.record_checkpoint(session, trial.trial_id, trial.fence, record)
    return sha256


def _end_lease(session: Any, trial: claims.ClaimedTrial) -> None:
    from db.models import Attempt

    attempt = session.get_one(Attempt, trial.attempt_id)
    owner.end_lease(session, attempt.lease_id)
