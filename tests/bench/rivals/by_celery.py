"""Plain Celery: a task a trial, two prefork processes that have TensorFlow loaded and stay."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.rivals import celery_tasks, speaking

PROCESSES = 2
READY_S, PATIENCE_S = 240.0, 1800.0
WORKER = (
    *(sys.executable, "-m", "celery", "--app", "tests.bench.rivals.celery_tasks", "worker"),
    *("--pool", "prefork", "--concurrency", str(PROCESSES), "--loglevel", "WARNING"),
    # A task is minutes of work: none is to wait behind another while a process is idle.
    *("-O", "fair", "--prefetch-multiplier", "1"),
)


@contextmanager
def _worker() -> Iterator[None]:
    worker = subprocess.Popen(WORKER)
    try:
        deadline = time.monotonic() + READY_S
        warm: set[int] = set()
        while len(warm) < PROCESSES:
            asked = [celery_tasks.warm.delay() for _ in range(PROCESSES)]
            warm.update(one.get(timeout=deadline - time.monotonic()) for one in asked)
        yield
    finally:
        worker.terminate()
        worker.wait(30)


def _run(_: None, trials: list[dict[str, Any]]) -> list[float]:
    asked = [celery_tasks.fit.delay(trial) for trial in trials]
    return [one.get(timeout=PATIENCE_S) for one in asked]


if __name__ == "__main__":
    if speaking.way() != "fit":
        sys.exit("Celery is measured with fit alone.")
    speaking.speak(_worker, _run, "celery", "redis")
