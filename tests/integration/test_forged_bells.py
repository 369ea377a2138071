"""Whatever comes over the bell's line, and whenever: it is a ring at most, and ends no worker."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection

from db.bell import EXCHANGE_NAME, Bell
from db.engine import Database
from db.states import TrialState
from deploy.broker import Broker
from deploy.child import Child
from labpool.catalog import Catalog
from labpool.settings import CHECKOUT
from tests.faults.bells import RAW, forge
from tests.support.processes import Processes
from tests.support.slots import submit, trial, wait_until

SPEC = {"kind": "train", "model": "softmax", "dataset": "digits", "device": "gpu", "epochs": 1}


@contextmanager
def listening_worker(database_url: str, folder: Path) -> Iterator[tuple[Child, Broker]]:
    """A worker with one paced slot that hears the bell, and its broker."""
    with Processes(folder / "processes") as processes:
        broker = processes.broker()
        # It would look by itself in an hour: only rings are left.
        environment = processes.environment(
            LABPOOL_DATABASE_URL=database_url, LABPOOL_BROKER_URL=broker.url, LABPOOL_POLL_S="3600"
        )
        ledger = ("--ledger", str(folder / "ran.jsonl"))
        command = [sys.executable, "-m", "tests.faults.paced_worker", *ledger, "--gpus", "GPU-x"]
        worker = processes.child("worker", command, environment)
        wait_until(lambda: " ready." in worker.log_tail(40), "a worker that is ready")
        yield worker, broker
        assert worker.running, worker.log_tail(60)


def run_by_the_bell(database_url: str, catalog: Catalog, worker: Child, broker: Broker) -> None:
    """Submit a trial and ring until it has run."""
    database, bell = Database(database_url), Bell(broker.url)
    [trial_id] = submit(database, catalog, SPEC)

    def is_done() -> bool:
        # The worker may be connecting anew when one of them comes.
        bell.ring()
        assert worker.running, worker.log_tail(60)
        return trial(database, trial_id).state is TrialState.SUCCEEDED

    wait_until(is_done, "a ring that is heard")
    bell.close()
    database.dispose()


def test_a_worker_outlives_forged_bells_and_hears_the_next_one(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    with listening_worker(sqlite_url, tmp_path) as (worker, broker):
        with Connection(broker.url) as connection:
            for pick in (0.1, 0.5, 0.9):
                assert forge(broker.url, pick)
                for raw in RAW:
                    connection.default_channel.client.publish(f"/0.{EXCHANGE_NAME}", raw)
        run_by_the_bell(sqlite_url, catalog, worker, broker)


def test_a_worker_that_wakes_to_rings_of_a_broker_that_is_gone_lives(
    sqlite_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    with listening_worker(sqlite_url, tmp_path) as (worker, broker):
        worker.signal(signal.SIGSTOP)
        bell = Bell(broker.url)
        for _ in range(5):
            bell.ring()
        bell.close(10.0)
        broker.kill()
        worker.signal(signal.SIGCONT)
        wait_until(lambda: "Connection to broker lost" in worker.log_tail(200), "a lost connection")
        broker.start_and_wait(30.0)
        run_by_the_bell(sqlite_url, catalog, worker, broker)


def test_no_ring_is_kept_to_be_put_back() -> None:
    # kombu puts back what was not acknowledged when a connection is lost; with the broker gone that
    # fails in a way that ends Celery's worker. It is a matter of milliseconds, so hard to provoke.
    code = (
        "from labpool.settings import Settings\n"
        "from worker.app import bell_queue\n"
        "raise SystemExit(0 if bell_queue(Settings()).no_ack is True else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False).returncode == 0


@pytest.mark.parametrize("how", ["lambda **_: 3", "lambda **_: (_ for _ in ()).throw(Exit(3))"])
def test_celerys_exit_status_is_the_workers(how: str) -> None:
    code = (
        "from celery.bin.celery import celery\n"
        "from click.exceptions import Exit\n"
        "from worker.__main__ import run\n"
        f"celery.main = {how}\n"
        "raise SystemExit(run([]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False, timeout=120)
    assert ended.returncode == 3
