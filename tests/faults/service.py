"""A whole pool in real processes for one figure: database, broker, API, worker, people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from db.engine import Database
from db.users import add_user, issue_token
from deploy.child import Child
from labpool.errors import LabpoolError
from tests.support.processes import Api, Processes, wait_until

NO_BROKER = "redis+socket:///nowhere/broker.sock"
READY_S = 120.0
PATIENCE_S = 600.0
NO_SETTINGS: Mapping[str, str] = {}


class Refused(LabpoolError):
    """The API did not do what a figure asked of it."""


@dataclass
class Service:
    """What runs, and a signed-in member's way to it."""

    processes: Processes
    database: Database
    environment: dict[str, str]
    api: Api
    http: httpx.Client
    worker: Child | None = None

    def submit(self, spec: Mapping[str, Any]) -> list[int]:
        """The ids of a submission's trials. Raises Refused."""
        answer = self.http.post("/api/v1/experiments", json=dict(spec))
        if answer.status_code != httpx.codes.CREATED:
            raise Refused(answer.text)
        return [trial["id"] for trial in answer.json()["trials"]]

    def trial(self, trial_id: int) -> dict[str, Any]:
        """A trial as the API shows it."""
        return dict(self.http.get(f"/api/v1/trials/{trial_id}").raise_for_status().json())

    def wait_for(self, trial_id: int, *states: str, timeout_s: float = PATIENCE_S) -> str:
        """The state of a trial once it is one of ``states``."""
        seen = ""

        def is_there() -> bool:
            nonlocal seen
            seen = str(self.trial(trial_id)["state"])
            return seen in states

        wait_until(is_there, timeout_s, f"trial {trial_id} to be one of {states}", poll_s=0.1)
        return seen

    def log_of(self, trial_id: int) -> str:
        """What a trial has printed."""
        return self.http.get(f"/api/v1/trials/{trial_id}/log").raise_for_status().text

    def start_worker(self, command: Sequence[str] | None = None, **settings: str) -> Child:
        """The host's worker; `wait_ready` waits for its slots."""
        environment = {**self.environment, **settings}
        if command is None:
            self.worker = self.processes.worker(environment)
        else:
            self.worker = self.processes.child("worker", list(command), environment)
        return self.worker

    def wait_ready(self, slots: int) -> None:
        """Wait until the pool shows so many slots that are ready."""

        def are_there() -> bool:
            workers = self.http.get("/api/v1/pool").raise_for_status().json()["workers"]
            return sum(len(worker["slots"]) for worker in workers if worker["alive"]) >= slots

        wait_until(are_there, READY_S, f"{slots} slots", poll_s=0.2)


@contextmanager
def service(
    folder: Path,
    database: Database,
    settings: Mapping[str, str] = NO_SETTINGS,
    broker: bool = True,
) -> Iterator[Service]:
    """API, broker and a member's client over ``database``; `start_worker` comes afterwards."""
    with Processes(folder / "processes") as processes:
        environment = {
            **processes.environment(),
            "LABPOOL_DATABASE_URL": database.url.render_as_string(hide_password=False),
            "LABPOOL_BROKER_URL": processes.broker().url if broker else NO_BROKER,
            **settings,
        }
        api = processes.api(environment)
        headers = {"Authorization": f"Bearer {token_of(database, 'ada')}"}
        with httpx.Client(
            base_url=api.url, headers=headers, timeout=60.0, trust_env=False
        ) as client:
            yield Service(processes, database, environment, api, client)


def token_of(database: Database, name: str) -> str:
    """A new member's token."""
    with database.transaction() as session:
        return issue_token(session, add_user(session, name, "member"), "api")[1]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not pass."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]
