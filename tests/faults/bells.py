"""What a broker should never see: rings that nobody rang, and an empty memory."""

from __future__ import annotations

import random
import socket
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from kombu import Connection, Exchange, Producer

from db.bell import EXCHANGE, EXCHANGE_NAME, TASK_NAME, TRANSPORT_OPTIONS

FORGERIES = 20
RAW = (b"", b"\x80\xff", b"{}", b"[1, 2]", b"null", b"nonsense", b'{"body": "AA", "headers": 7}')


def flush(socket_path: Path) -> bool:
    """FLUSHALL: the broker forgets every queue and binding. False when it is away."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2.0)
        connection.connect(str(socket_path))
        connection.sendall(b"FLUSHALL\r\n")
        return connection.recv(16).startswith(b"+OK")
    return False


def forge(url: str, pick: float) -> bool:
    """Rings with arguments, under other names, with other bodies. False when it is away."""
    source = random.Random(pick)
    connection = Connection(url, transport_options=TRANSPORT_OPTIONS, connect_timeout=1.0)
    try:
        producer = Producer(connection.default_channel, auto_declare=False)
        for _ in range(FORGERIES):
            _publish(producer, source)
            # Past kombu altogether, to whoever has subscribed.
            raw = source.choice(RAW)
            connection.default_channel.client.publish(f"/0.{EXCHANGE_NAME}", raw)
    except Exception:  # noqa: BLE001 - whatever the transport raises, the broker is away
        return False
    finally:
        with suppress(Exception):
            connection.release()
    return True


def _publish(producer: Producer, source: random.Random) -> None:
    task_id = str(uuid.UUID(int=source.getrandbits(128)))
    name = source.choice([TASK_NAME, "labpool.claim", "celery.backend_cleanup", "os.system", ""])
    arguments: list[Any] = source.choice([[], [1, 2], ["trial", 7], [{"state": "succeeded"}]])
    keywords = source.choice([{}, {"trial_id": 1}, {"fence": -1}])
    body: Any = source.choice(
        [[arguments, keywords, {"callbacks": None}], "not a task", {"a": 1}, [], None]
    )
    producer.publish(
        body,
        exchange=source.choice([EXCHANGE, EXCHANGE, Exchange("labpool.bell2", "fanout")]),
        routing_key="",
        headers={"lang": "py", "task": name, "id": task_id, "root_id": task_id},
        correlation_id=task_id,
        serializer="json",
        declare=[EXCHANGE],
        expiration=30.0,
        delivery_mode=1,
        retry=False,
    )
