"""Whatever stands in a message: it is a ring at most, and ends no worker."""

from __future__ import annotations

import sys
from pathlib import Path

from kombu import Connection

from db.bell import EXCHANGE_NAME, Bell
from db.engine import Database
from db.states import TrialState
from labpool.catalog import Catalog
from tests.faults.bells import RAW, forge
from tests.support.processes import Processes
from tests.support.slots import submit, trial, wait_until

SPEC = {"kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu", "epochs": 1}


def test_a_worker_outlives_forged_bells_and_hears_the_next_one(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    database = Database(sqlite_url)
    with Processes(tmp_path / "processes") as processes:
        broker = processes.broker()
        # It would look by itself in an hour: only rings are left.
        environment = processes.environment(
            LABPOOL_DATABASE_URL=sqlite_url, LABPOOL_BROKER_URL=broker.url, LABPOOL_POLL_S="3600"
        )
        ledger = ("--ledger", str(tmp_path / "ran.jsonl"))
        command = [sys.executable, "-m", "tests.faults.paced_worker", *ledger, "--gpus", "GPU-x"]
        worker = processes.child("worker", command, environment)
        wait_until(lambda: " ready." in worker.log_tail(40), "a worker that is ready")
        with Connection(broker.url) as connection:
            for pick in (0.1, 0.5, 0.9):
                assert forge(broker.url, pick)
                for raw in RAW:
                    connection.default_channel.client.publish(f"/0.{EXCHANGE_NAME}", raw)
        bell = Bell(broker.url)
        [trial_id] = submit(database, catalog, SPEC)

        def is_done() -> bool:
            # It may be connecting anew when one of them comes.
            bell.ring()
            assert worker.running, worker.log_tail(60)
            return trial(database, trial_id).state is TrialState.SUCCEEDED

        wait_until(is_done, "a ring that is heard")
        bell.close()
        assert worker.running
    database.dispose()
