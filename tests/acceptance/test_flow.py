"""The whole flow over real HTTP, real Celery and a real Valkey, on SQLite and on Postgres."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from db import users
from db.engine import Database
from db.models import Attempt, Checkpoint, MetricChunk, Result, Worker
from db.states import Outcome
from deploy.broker import Broker
from deploy.child import Child
from labpool.client import Client
from tests.support.processes import Api, Processes, wait_until

TRAIN: dict[str, Any] = {"kind": "train", "model": "softmax", "dataset": "digits", "epochs": 3}
# Long enough to be interrupted, with a checkpoint each epoch.
LONG = {**TRAIN, "model": "lenet5", "epochs": 400, "checkpoint_every_epochs": 1}
EPOCHS = 15
RUN_TIMEOUT_S = 240.0
QUICK = {"LABPOOL_LEASE_TTL_S": "8", "LABPOOL_BEAT_S": "0.5", "LABPOOL_POLL_S": "1"}


@dataclass
class Pool:
    """A database, an API and a broker; workers are started by the test."""

    processes: Processes
    database: Database
    broker: Broker
    api: Api
    client: Client
    settings: dict[str, str]

    def worker(self, name: str = "one") -> Child:
        """A worker with a data folder, and so scratch, of its own."""
        folder = self.processes.folder / f"worker-{name}"
        return self.processes.worker(self.processes.environment(folder, **self.settings))


@pytest.fixture
def pool(database: Database, database_url: str, tmp_path: Path) -> Iterator[Pool]:
    with database.transaction() as session:
        ada = users.add_user(session, "ada", "member")
        _, token = users.issue_token(session, ada, "api", "test")
    with Processes(tmp_path / "processes") as processes:
        broker = processes.broker()
        settings = {
            "LABPOOL_DATABASE_URL": database_url,
            "LABPOOL_BROKER_URL": broker.url,
            "LABPOOL_STORE_DIR": str(tmp_path / "store"),
            "LABPOOL_SLOTS": "1",
            **QUICK,
        }
        api = processes.api(processes.environment(**settings))
        with Client(api.url, token) as client:
            yield Pool(processes, database, broker, api, client, settings)


def test_it_works(pool: Pool, tmp_path: Path) -> None:
    pool.worker()
    client = pool.client
    sweep = {
        "kind": "sweep",
        "name": "units",
        "base": {**TRAIN, "model": "mlp"},
        "strategy": {"method": "grid"},
        "space": {"learning_rate": [1e-2, 1e-3]},
    }
    benchmark = {"kind": "benchmark", "kernel": "dense_relu", "device": "cpu"}
    made = [client.submit(spec) for spec in (TRAIN, sweep, benchmark)]
    waiting = client.submit({**benchmark, "device": "gpu"})
    for submission in made:
        assert client.wait(submission.id, RUN_TIMEOUT_S).succeeded

    trial = client.trial(made[0].trial_ids[0])
    assert trial.metrics["test_accuracy"] is not None
    assert trial.metrics["test_accuracy"] > 0.8
    assert trial.ran_on == "cpu"
    environment = trial.attempts[-1]["environment"]
    assert {"python", "tensorflow", "keras", "numpy"} <= set(environment["versions"])
    assert environment["threads"] >= 1

    curves = client.curves(trial.id)
    losses = curves["val_loss"]
    assert len(losses.values) == 3
    assert "epoch" in client.log(trial.id) or client.log(trial.id) == ""

    saved = client.download_checkpoint(trial.id, tmp_path / "best.npz")
    with np.load(saved, allow_pickle=False) as arrays:
        assert arrays.files

    rows = client.board("digits")["rows"]
    assert {row["model"] for row in rows} == {"softmax", "mlp"}
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
    [row] = client.board("dense_relu_cpu")["rows"]
    assert row["value"] > 0

    gpu = client.trial(waiting.trial_ids[0])
    assert gpu.state == "queued"
    assert "needs a GPU slot" in (gpu.waiting or "")
    assert client.cancel(waiting.id).states == {"cancelled": 1}


def test_a_submission_while_the_broker_is_down_is_run(pool: Pool) -> None:
    pool.worker()
    pool.broker.kill()
    submission = pool.client.submit(TRAIN)
    assert pool.client.wait(submission.id, RUN_TIMEOUT_S).succeeded


def test_a_running_trial_is_cancelled(pool: Pool) -> None:
    pool.worker()
    submission = pool.client.submit(LONG)
    [trial_id] = submission.trial_ids
    wait_until(lambda: len(pool.client.curves(trial_id)) > 0, RUN_TIMEOUT_S, "the first epoch")
    pool.client.cancel(submission.id)
    assert pool.client.wait(submission.id, RUN_TIMEOUT_S).states == {"cancelled": 1}
    again = pool.client.submit(TRAIN)
    assert pool.client.wait(again.id, RUN_TIMEOUT_S).succeeded, "the slot goes on"


def test_one_worker_dies_in_mid_epoch_and_the_other_resumes(pool: Pool) -> None:
    workers = [pool.worker("one"), pool.worker("two")]
    submission = pool.client.submit({**LONG, "epochs": EPOCHS})
    [trial_id] = submission.trial_ids

    def has_checkpoints() -> bool:
        with pool.database.snapshot() as session:
            return len(session.scalars(select(Checkpoint.id)).all()) >= 2

    wait_until(has_checkpoints, RUN_TIMEOUT_S, "two checkpoints")
    with pool.database.snapshot() as session:
        holder = session.scalars(
            select(Worker.pid).join(Attempt, Attempt.worker_id == Worker.id)
        ).one()
    [victim] = [worker for worker in workers if worker.pid == holder]
    victim.signal(signal.SIGKILL)

    assert pool.client.wait(submission.id, RUN_TIMEOUT_S).succeeded
    with pool.database.snapshot() as session:
        lost, won = session.scalars(select(Attempt).order_by(Attempt.fence)).all()
        assert (lost.outcome, won.outcome) == (Outcome.LOST, Outcome.SUCCEEDED)
        assert lost.worker_id != won.worker_id
        assert won.resumed_epoch is not None
        assert won.resumed_epoch >= 1
        result = session.scalars(select(Result)).one()
        assert (result.trial_id, result.fence) == (trial_id, won.fence)
        chunks = session.scalars(
            select(MetricChunk)
            .where(MetricChunk.fence == won.fence, MetricChunk.name == "val_loss")
            .order_by(MetricChunk.id)
        )
        epochs = [epoch for chunk in chunks for epoch in chunk.epochs]
        assert epochs == list(range(won.resumed_epoch + 1, EPOCHS + 1))
