"""The real service that the pages are looked at on, and small experiments really run on it.

    with running(folder) as service:
        filled = fill(service)                       # some seconds: a worker runs five experiments
        page.goto(service.url + f"/trials/{filled.trained}")

What `fill` made can be kept (`keep`) and given to another service (`given=`), which then needs no
worker to have something to show.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from db import users
from db.engine import Database
from db.migrate import upgrade
from db.states import Purpose, Role
from deploy.child import Child
from labpool.catalog import Catalog
from labpool.client import Client
from labpool.settings import CHECKOUT
from tests.support import timed_rows
from tests.support.processes import Api, Processes, wait_until

HOSTILE = CHECKOUT / "tests" / "support" / "catalog"
PEOPLE = {"ada": Role.ADMIN, "grace": Role.MEMBER}
RUN_TIMEOUT_S = 180.0
QUICK = {"LABPOOL_BEAT_S": "0.5", "LABPOOL_POLL_S": "1", "LABPOOL_SLOTS": "1"}
SESSION_LIFETIME_S = 3600.0

SOFTMAX: dict[str, Any] = {
    "kind": "train",
    "name": "A straight line",
    "tags": ["baseline"],
    "model": "softmax",
    "dataset": "digits",
    "epochs": 4,
}
GRID: dict[str, Any] = {
    "kind": "sweep",
    "name": "Width by learning rate",
    "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 3},
    "strategy": {"method": "grid"},
    "space": {"learning_rate": [1e-2, 1e-3], "batch_size": [32, 64]},
}
BENCHMARK: dict[str, Any] = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}
WAITING: dict[str, Any] = {**BENCHMARK, "name": "Layer on the GPU", "device": "gpu"}
FAILING: dict[str, Any] = {
    **SOFTMAX,
    "name": "Ends too early",
    "tags": [],
    "model": "hostile",
    "parameters": {"how": "exit"},
}
LONG: dict[str, Any] = {
    **SOFTMAX,
    "name": "Runs for long",
    "tags": [],
    "model": "lenet5",
    "epochs": 2000,
}

DRAWING: dict[str, Any] = {
    **SOFTMAX,
    "name": "Draws as it trains",
    "tags": [],
    "model": "gan",
    "epochs": 6,
}


@dataclass(frozen=True)
class Filled:
    """What stands on the service: experiments and trials by what became of them."""

    trained: int
    trained_experiment: int
    sweep: int
    sweep_trials: tuple[int, ...]
    benchmark: int
    waiting: int
    waiting_experiment: int
    failed: int
    failed_experiment: int
    drawing: int
    prediction: int = 0
    timed: int = 0
    timed_experiment: int = 0


@dataclass
class Service:
    """A running API on a database with people in it; workers are started when one is wanted."""

    processes: Processes
    data_dir: Path
    database: Database
    api: Api
    environment: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    _worker: Child | None = None

    @property
    def url(self) -> str:
        return self.api.url

    @property
    def cookie_name(self) -> str:
        """The cookie that holds a browser's session."""
        return f"labpool_session_{self.api.port}"

    def client(self, name: str = "grace") -> Client:
        """Somebody's client."""
        return Client(self.url, self.tokens[name])

    def session(self, name: str) -> str:
        """A new session of somebody's, as signing in makes it."""
        return self._issue(name, Purpose.SESSION)

    def sign_in_link(self, name: str) -> str:
        """A link that signs somebody in once."""
        return f"{self.url}/sign-in?token={self._issue(name, Purpose.SIGN_IN)}"

    def end_session(self, text: str) -> None:
        """Revoke a session, as signing out elsewhere does."""
        with self.database.transaction() as session:
            users.revoke_text(session, text)

    def worker(self) -> Child:
        """The one worker, started when first asked for."""
        if self._worker is None:
            self._worker = self.processes.worker(self.environment)
        return self._worker

    def _issue(self, name: str, purpose: Purpose) -> str:
        with self.database.transaction() as session:
            user = users.find_user(session, name)
            assert user is not None, name
            _, text = users.issue_token(session, user, purpose, "browser", SESSION_LIFETIME_S)
        return text


@contextmanager
def running(
    folder: Path, given: Path | None = None, catalog_path: str = str(HOSTILE)
) -> Iterator[Service]:
    """A service in `folder`, with what `keep` kept in `given`, for the length of a block."""
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700, parents=True)
    if given is not None:
        shutil.copytree(given, data_dir, dirs_exist_ok=True)
    database = Database(f"sqlite:///{data_dir / 'labpool.db'}")
    upgrade(database)
    with Processes(folder / "processes") as processes:
        environment = processes.environment(
            data_dir,
            LABPOOL_BROKER_URL=processes.broker().url,
            LABPOOL_CATALOG_PATH=catalog_path,
            **QUICK,
        )
        api = processes.api(environment)
        service = Service(processes, data_dir, database, api, environment)
        for name, role in PEOPLE.items():
            service.tokens[name] = _token(database, name, role)
        try:
            yield service
        finally:
            database.dispose()


def fill(service: Service) -> Filled:
    """Run the small experiments on a worker, which stays."""
    service.worker()
    with service.client("grace") as grace, service.client("ada") as ada:
        trained = grace.submit(SOFTMAX)
        sweep = ada.submit(GRID)
        benchmark = grace.submit(BENCHMARK)
        failing = grace.submit(FAILING)
        drawing = grace.submit(DRAWING)
        for submission in (trained, sweep, benchmark, drawing):
            ended = grace.wait(submission.id, RUN_TIMEOUT_S)
            assert ended.succeeded, (ended.states, service.worker().log_tail(40))
        ended = grace.wait(failing.id, RUN_TIMEOUT_S)
        assert ended.states == {"failed": 1}, ended.states
        prediction = grace.predict(trained.trial_ids[0], [0.5] * 64)
        timed = grace.submit(timed_rows.SMALL)
        timed_rows.record(service.database, _catalog(), timed_rows.SMALL_COUNT)
        # The last: a slot that is made up for the others must not take it.
        waiting = grace.submit(WAITING)
    return Filled(
        trained=trained.trial_ids[0],
        trained_experiment=trained.id,
        sweep=sweep.id,
        sweep_trials=tuple(sweep.trial_ids),
        benchmark=benchmark.trial_ids[0],
        waiting=waiting.trial_ids[0],
        waiting_experiment=waiting.id,
        failed=failing.trial_ids[0],
        failed_experiment=failing.id,
        drawing=drawing.trial_ids[0],
        prediction=prediction.id,
        timed=timed.trial_ids[-1],
        timed_experiment=timed.id,
    )


def keep(service: Service, filled: Filled, folder: Path) -> None:
    """Copy what a stopped service holds, for other services to start from."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    unfinished.mkdir(parents=True)
    for name in ("labpool.db", "labpool.db-wal"):
        if (service.data_dir / name).exists():
            shutil.copy(service.data_dir / name, unfinished)
    shutil.copytree(service.data_dir / "artifacts", unfinished / "artifacts")
    (unfinished / "filled.json").write_text(json.dumps(asdict(filled)), encoding="utf-8")
    unfinished.rename(folder)


def what_was_kept(folder: Path) -> Filled:
    """What `fill` said about the service kept in `folder`."""
    known: Mapping[str, Any] = json.loads((folder / "filled.json").read_text(encoding="utf-8"))
    return Filled(**{**known, "sweep_trials": tuple(known["sweep_trials"])})


def wait_for_values(client: Client, trial_id: int) -> None:
    """Until a trial that runs has its first curve."""
    wait_until(
        lambda: len(client.curves(trial_id)) > 0, RUN_TIMEOUT_S, f"values of trial {trial_id}"
    )


def _catalog() -> Catalog:
    return Catalog.load([CHECKOUT / "catalog"])


def _token(database: Database, name: str, role: Role) -> str:
    with database.transaction() as session:
        user = users.find_user(session, name) or users.add_user(session, name, role)
        _, text = users.issue_token(session, user, Purpose.API, "browser tests")
    return text
