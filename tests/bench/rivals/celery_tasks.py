"""What the processes of Celery's worker do; each imports TensorFlow when it starts."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from celery import Celery
from celery.signals import worker_process_init

from tests.bench.rivals import fits

SOCKET = quote(os.environ["PEERS_BROKER_SOCKET"])

app = Celery("rivals", broker=f"redis+socket://{SOCKET}", backend=f"redis+socket://{SOCKET}")
app.conf.update(
    # The imports take longer than the four seconds that it gives a process by itself.
    worker_proc_alive_timeout=120.0,
    broker_connection_retry_on_startup=True,
)


@worker_process_init.connect
def _prepare(**_: Any) -> None:
    fits.prepare()


@app.task
def warm() -> int:
    """A first fit; the process that did it."""
    fits.warm()
    return os.getpid()


@app.task
def fit(trial: dict[str, Any]) -> float:
    """A trial's accuracy."""
    return fits.fit(trial)
