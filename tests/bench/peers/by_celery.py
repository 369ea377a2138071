"""Plain Celery: a task a trial, two prefork processes that have TensorFlow loaded and stay.

The broker is a Valkey server that the environment names; results come back by it too.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.peers import celery_tasks, fits

PROCESSES = 2
READY_S = 180.0
PATIENCE_S = 600.0
WORKER = (
    *(sys.executable, "-m", "celery", "--app", "tests.bench.peers.celery_tasks", "worker"),
    *("--pool", "prefork", "--concurrency", str(PROCESSES), "--loglevel", "WARNING"),
)


@contextmanager
def _worker() -> Iterator[None]:
    worker = subprocess.Popen(WORKER)
    try:
        _warm()
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _warm() -> None:
    """Wait until each process has done a task."""
    deadline = time.monotonic() + READY_S
    warm: set[int] = set()
    while len(warm) < PROCESSES:
        asked = [celery_tasks.warm.delay() for _ in range(PROCESSES)]
        warm.update(one.get(timeout=deadline - time.monotonic()) for one in asked)


def _run(_: None, trials: list[dict[str, Any]]) -> int:
    asked = [celery_tasks.fit.delay(trial) for trial in trials]
    return len([one.get(timeout=PATIENCE_S) for one in asked])


if __name__ == "__main__":
    fits.answer(_worker, _run)
