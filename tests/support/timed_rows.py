"""Benchmarks on a GPU that does not exist, recorded as a worker would: rows to look at."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from db import claims, findings, owner, workers
from db.engine import Database
from db.models import Attempt
from labpool.catalog import Catalog
from tests.support import pool, timed

SWEEP: dict[str, Any] = {
    "kind": "sweep",
    "name": "Ways to add two vectors",
    "base": {"kind": "benchmark", "kernel": "saxpy", "device": "gpu"},
    "strategy": {"method": "grid"},
    "space": {
        "sizes.n": [10**4, 10**5, 10**6, 10**7, 10**8],
        "variant": ["one_each", "wide"],
        "launch.threads": [128, 256, 512],
    },
}
COUNT = 30
SMALL: dict[str, Any] = {
    **SWEEP,
    "space": {
        "sizes.n": [10**5, 10**7],
        "variant": ["one_each", "wide"],
        "launch.threads": [128, 256],
    },
}
SMALL_COUNT = 8
ENVIRONMENT = {"device": "gpu", "device_name": "Test GPU", "threads": 1, "versions": {}}
Change = Callable[[dict[str, Any], dict[str, Any]], None]


def median_ms(spec: Mapping[str, Any]) -> float:
    """A start that takes as long as it takes, then so many bytes a second."""
    share = {128: 0.9, 256: 1.0, 512: 0.96}[spec["launch"]["threads"]]
    gb_s = share * (3400.0 if spec["variant"] == "wide" else 2600.0)
    n: int = spec["sizes"]["n"]
    return 0.002 + (12 * n + 4) / gb_s / 1e6


def record(
    database: Database, catalog: Catalog, count: int, change: Change | None = None
) -> list[int]:
    """Take the next `count` benchmarks for a GPU and end them well; the slot is gone then.

    `change` may alter each one's metrics and summary.
    """
    with database.transaction() as session:
        # A real worker may be at work: the pool knows one host and one store.
        taker = pool.slot(
            session, catalog, device="gpu", name="Test GPU", kinds=("benchmark",),
            host=socket.gethostname(), store_id=workers.bound_store(session) or "store",
        )  # fmt: skip
    done = [_end(database, taker, change) for _ in range(count)]
    with database.transaction() as session:
        workers.stop_worker(session, taker.worker_id)
    return done


def _end(database: Database, taker: claims.SlotIdentity, change: Change | None) -> int:
    with database.transaction() as session:
        claim = claims.claim(session, taker, 90.0)
        assert claim is not None
        [work] = claim.trials
        owner.note_started(session, work.trial_id, work.fence, ENVIRONMENT)
    spec = work.spec
    took_ms, n = median_ms(spec), spec["sizes"]["n"]
    metrics, summary = timed.metrics(took_ms, n), timed.summary(took_ms, n)
    if change is not None:
        change(metrics, summary)
    with database.transaction() as session:
        findings.record_metrics(session, work.trial_id, work.fence, [_samples(took_ms)])
        owner.succeed(session, work.trial_id, work.fence, metrics, summary)
        owner.end_lease(session, session.get_one(Attempt, work.attempt_id).lease_id)
    return int(work.trial_id)


def _samples(took_ms: float) -> findings.Chunk:
    values = [took_ms * (1 + 0.01 * ((7 * number) % 11 - 5) / 5) for number in range(40)]
    return findings.Chunk(
        name="sample_ms",
        steps=[*range(1, 41)],
        epochs=[None] * 40,
        times_s=[0.01 * number for number in range(40)],
        values=[*values],
    )
