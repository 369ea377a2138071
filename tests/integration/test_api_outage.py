"""A Postgres that ends as by a power cut under a real server, and comes back."""

from __future__ import annotations

from pathlib import Path

import httpx

from db.engine import Database
from db.users import add_user, issue_token
from labpool import Client
from tests.faults.crashing_postgres import CrashingPostgres
from tests.support.processes import Processes, wait_until

SPEC = {"kind": "train", "model": "softmax", "dataset": "digits"}


def test_requests_are_told_to_come_again_and_need_no_restart(tmp_path: Path) -> None:
    with CrashingPostgres() as postgres, Processes(tmp_path) as processes:
        database = Database(postgres.url)
        with database.transaction() as session:
            token = issue_token(session, add_user(session, "ada", "member"), "api")[1]
        database.dispose()
        api = processes.api(
            processes.environment(
                LABPOOL_DATABASE_URL=postgres.url,
                LABPOOL_BROKER_URL="redis+socket:///nowhere/broker.sock",
            )
        )
        with Client(api.url, token) as client:
            before = client.submit(SPEC)
            postgres.stop()
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "one"}
            for _ in range(3):
                answer = httpx.post(
                    f"{api.url}/api/v1/experiments", json=SPEC, headers=headers,
                    timeout=60.0, trust_env=False,
                )  # fmt: skip
                assert answer.status_code == 503, answer.text
                assert answer.headers["Retry-After"] == "2"
                assert answer.json()["type"] == "urn:labpool:problem:database-away"
            postgres.start()

            def answers() -> bool:
                ready = httpx.get(f"{api.url}/api/v1/ready", timeout=60.0, trust_env=False)
                return ready.status_code == 200

            wait_until(answers, 60.0, "the api to find its database again")
            assert client.experiment(before.id).id == before.id
            after = client.submit(SPEC)
            assert after.id > before.id
