"""The Celery application: one task, the bell, and the slots as a step of the worker.

Celery carries no work here. Its message says that there may be some; which trial runs next is
decided in the database at the moment a slot is free. So nothing about a message matters: lost,
doubled or forged, it causes at most one look for work.
"""

from __future__ import annotations

import logging
import socket
from hashlib import sha256

from celery import Celery
from kombu.common import Broadcast

from db.bell import EXCHANGE, TASK_NAME
from labpool.settings import Settings, load_settings
from worker import bell
from worker.bootstep import SlotsStep

SOCKET_TIMEOUT_S = 10.0
# Two lines a ring, and four a look at the schema, would bury what matters.
CHATTY = ("celery.worker.strategy", "celery.app.trace", "alembic.runtime.migration")


def create_app(settings: Settings) -> Celery:
    """The application of one worker process."""
    app = Celery("labpool", broker=settings.broker, set_as_current=True)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_create_missing_queues=False,
        task_queues=[bell_queue(settings)],
        task_default_queue=bell_queue(settings).name,
        # A connection lost must not touch what runs: no trial hangs on a message.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=4.0,
        broker_transport_options={
            # Celery gives the queue a routing key of its own, and with patterns on it would hear
            # rings with that key alone.
            "fanout_patterns": False,
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": 4.0,
            "socket_keepalive": True,
        },
        worker_log_format="%(asctime)s %(levelname)s %(threadName)s: %(message)s",
        worker_task_log_format="%(asctime)s %(levelname)s %(task_name)s: %(message)s",
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_consumer="worker.hearing:BellConsumer",
    )
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    app.steps["worker"].add(SlotsStep)
    app.task(name=TASK_NAME, ignore_result=True)(bell.ring)
    return app


def bell_queue(settings: Settings) -> Broadcast:
    """The queue on which this worker hears the bell.

    Its name is fixed for a host and a scratch folder: a name made anew at each start would leave
    its binding behind in the broker, and two workers on one host must not share one.
    """
    place = sha256(str(settings.scratch_dir).encode()).hexdigest()[:8]
    # Nothing is acknowledged: kombu would put back what was not when the connection is lost, and
    # fails at that when the broker is gone.
    return Broadcast(queue=f"bell.{socket.gethostname()}.{place}", exchange=EXCHANGE, no_ack=True)


app = create_app(load_settings())
