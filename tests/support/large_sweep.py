"""A large searched sweep in the middle, written row by row as slots would have left it."""

from __future__ import annotations

import math
import socket
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import Attempt, Experiment, Lease, PoolSetting, Result, SweepReport, Trial
from db.states import Outcome, TrialState
from db.turns import SlotIdentity
from labpool.catalog import Catalog
from tests.support.api import Api
from tests.support.pool import slot

METRIC = "val_accuracy"
EPOCH_S = 3.0


def large_spec(trials: int) -> dict[str, Any]:
    """A random search with rungs at 1, 3 and 9 of 27 epochs."""
    return {
        "kind": "sweep",
        "name": "a large search",
        "base": {"kind": "train", "model": "mlp", "dataset": "digits", "epochs": 27},
        "strategy": {
            "method": "random", "trials": trials, "seed": 1,
            "pruner": {"method": "asha", "min_epochs": 1, "reduction": 3},
        },
        "objective": {"metric": METRIC, "direction": "maximize"},
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1.0, "scale": "log"},
            "batch_size": [16, 32, 64],
            "parameters.dropout": {"low": 0.0, "high": 0.5},
        },
    }  # fmt: skip


def large_sweep(api: Api, trials: int) -> int:
    """The experiment: two thirds of its trials paused at the first rung, the rest spread above it,
    one in fifty failed, and the last tenth still waiting; two to a lease."""
    experiment_id, ids = api.submitted(large_spec(trials))
    fill_sweep(api.database, api.catalog, experiment_id, ids)
    return experiment_id


def fill_sweep(database: Database, catalog: Catalog, experiment_id: int, ids: list[int]) -> None:
    """Give the sweep's trials their past."""
    with database.transaction() as session:
        bound = session.scalar(
            select(PoolSetting.value).where(PoolSetting.name == "artifact_store_id")
        )
        # A real worker of this host may be there too, and SQLite serves one host.
        host = socket.gethostname()
        taker = slot(session, catalog, host=host, store_id=bound or "store")
        now = session.get_one(Experiment, experiment_id).created_at
        varied = {row.id: row.varied for row in session.query(Trial).filter(Trial.id.in_(ids))}
        ran = ids[: len(ids) - len(ids) // 10]
        for place, trial_id in enumerate(ran):
            _one(session, trial_id, place, varied[trial_id], now)
        _attempts(session, experiment_id, ran, taker, now)
        session.execute(
            update(Experiment)
            .where(Experiment.id == experiment_id)
            .values(created_at=now - len(ids) * 4 * EPOCH_S)
        )


def rung_of(place: int) -> int:
    """Which rung the trial at this place of the order has come to; 3 is the top."""
    return 3 if place % 27 == 0 else 2 if place % 9 == 0 else 1 if place % 3 == 0 else 0


def value_of(varied: dict[str, Any], epoch: int) -> float:
    """Best at a rate of 0.01, a little better without dropout, and with every epoch."""
    rate = -abs(math.log10(varied["learning_rate"]) + 2) / 5
    lost: float = varied["parameters.dropout"] / 10
    return 0.97 + rate - lost - 0.1 / epoch


def _one(session: Session, trial_id: int, place: int, varied: dict[str, Any], now: float) -> None:
    rung = rung_of(place)
    epochs = (1, 3, 9, 27)[rung]
    failed, done = place % 50 == 49, rung == 3
    state = TrialState.FAILED if failed else TrialState.SUCCEEDED if done else TrialState.PAUSED
    session.execute(
        update(Trial)
        .where(Trial.id == trial_id)
        .values(
            state=state, rung=rung, at_rung=state is TrialState.PAUSED, fence=1,
            halts_at=None if done else epochs, progress_done=epochs, progress_total=27,
            progress_unit="epoch", progress_at=now, reason="It broke." if failed else None,
            finished_at=now if failed or done else None,
        )
    )  # fmt: skip
    reports = [
        {"trial_id": trial_id, "epoch": epoch, "value": value_of(varied, epoch)}
        for epoch in range(1, epochs + 1)
    ]
    session.execute(insert(SweepReport), reports)
    if done and not failed:
        session.execute(insert(Result), [_result(trial_id, varied, now)])


def _result(trial_id: int, varied: dict[str, Any], now: float) -> dict[str, Any]:
    value = value_of(varied, 27)
    metrics = {METRIC: value, "test_accuracy": value - 0.01}
    return {
        "trial_id": trial_id, "fence": 1, "metrics": metrics, "summary": {}, "device": "cpu",
        "seconds": 27 * EPOCH_S, "created_at": now,
    }  # fmt: skip


def _attempts(
    session: Session, experiment_id: int, ids: list[int], taker: SlotIdentity, now: float
) -> None:
    """One each, two to a lease, one lease after the other up to now."""
    slot_id, worker_id = taker.slot_id, taker.worker_id
    for place in range(0, len(ids), 2):
        started = now - (len(ids) - place) * 4 * EPOCH_S
        lease = Lease(
            slot_id=slot_id, worker_id=worker_id, experiment_id=experiment_id,
            created_at=started, beat_at=started, expires_at=started + 90,
            ended_at=started + 8 * EPOCH_S,
        )  # fmt: skip
        session.add(lease)
        session.flush()
        session.execute(
            insert(Attempt),
            [
                {
                    "trial_id": trial_id,
                    "fence": 1,
                    "lease_id": lease.id,
                    "worker_id": worker_id,
                    "slot_id": slot_id,
                    "started_at": started,
                    "charged": True,
                    "ended_at": started + 8 * EPOCH_S,
                    "outcome": Outcome.SUCCEEDED,
                    "slot_seconds": 4 * EPOCH_S,
                }
                for trial_id in ids[place : place + 2]
            ],
        )
