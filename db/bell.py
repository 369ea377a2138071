"""The bell: "there may be work". Best effort; nothing depends on its being heard.

A ring is a Celery task message without arguments on a fanout exchange, so that every worker process
hears each one. It is sent by a thread of its own, off the request's path, and rings that come while
one is being sent become one.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import Any

from kombu import Connection, Exchange, Producer

EXCHANGE_NAME = "labpool.bell"
TASK_NAME = "labpool.bell"
EXCHANGE = Exchange(EXCHANGE_NAME, type="fanout", durable=False)

# A ring is of no use to a worker that was away: it looks for work when it starts.
EXPIRES_S = 30.0
# Without these a send to a wedged broker blocks for half a minute.
TRANSPORT_OPTIONS: dict[str, Any] = {
    "socket_timeout": 1.0,
    "socket_connect_timeout": 1.0,
    "retry_on_timeout": False,
    "max_retries": 0,
}
_PAUSE_AFTER_FAILURE_S = 1.0

_log = logging.getLogger(__name__)


class Bell:
    """Rings at ``broker_url``. Every method returns at once and none raises."""

    def __init__(self, broker_url: str) -> None:
        self._url = broker_url
        self._wanted = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake every idle slot, soon."""
        with self._lock:
            if self._closed:
                return
            self._wanted.set()
            # Started at the first ring, so a server that forks after making a Bell can use it.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="bell", daemon=True)
                self._thread.start()

    def close(self, wait_s: float = 2.0) -> None:
        """Send what is still to be sent, for ``wait_s`` at most, and end."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._wanted.set()
        if thread is not None:
            thread.join(wait_s)

    def _work(self) -> None:
        connection: Connection | None = None
        while not self._closed or self._wanted.is_set():
            self._wanted.wait()
            self._wanted.clear()
            try:
                connection = self._ring_once(connection)
            except Exception as error:  # noqa: BLE001 - whatever the transport raises
                _log.warning("The bell could not be rung (%s); slots look by themselves.", error)
                connection = None
                if not self._closed:
                    time.sleep(_PAUSE_AFTER_FAILURE_S)
        if connection is not None:
            _discard(connection)

    def _ring_once(self, kept: Connection | None) -> Connection:
        """Ring over the connection ``kept`` from before, or over a new one, which is returned."""
        if kept is not None:
            try:
                _send(kept)
            except Exception:  # noqa: BLE001 - the broker may have been restarted since
                _discard(kept)
            else:
                return kept
        fresh = Connection(self._url, transport_options=TRANSPORT_OPTIONS, connect_timeout=1.0)
        try:
            _send(fresh)
        except Exception:
            _discard(fresh)
            raise
        return fresh


def _send(connection: Connection) -> None:
    task_id = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": TASK_NAME,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": "labpool",
    }
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    producer = Producer(connection.default_channel, auto_declare=False)
    producer.publish(
        [[], {}, embedded],
        exchange=EXCHANGE,
        routing_key="",
        headers=headers,
        correlation_id=task_id,
        serializer="json",
        content_encoding="utf-8",
        # Without declaring the exchange, kombu pushes into every list that was ever bound to it.
        declare=[EXCHANGE],
        expiration=EXPIRES_S,
        delivery_mode=1,
        retry=False,
    )


def _discard(connection: Connection) -> None:
    try:
        connection.release()
    except Exception as error:  # noqa: BLE001 - it is thrown away in any case
        _log.debug("closing the bell's connection: %s", error)
