"""The bell, over a real Valkey server, as Celery hears it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.common import Broadcast

from db.bell import EXCHANGE, TASK_NAME, Bell
from tests.support.processes import Processes, wait_until


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as started:
        yield started


def listener(connection: Connection, name: str, heard: list[Any], among: int = 1) -> Any:
    """A consumer that puts what it hears into ``heard``, once it is one of ``among`` listeners."""
    queue = Broadcast(queue=name, exchange=EXCHANGE)
    consumer = connection.Consumer([queue], no_ack=True, accept=["json"])
    consumer.register_callback(lambda body, message: heard.append((body, message.headers)))
    consumer.consume()
    # kombu subscribes only when it next reads; what is published before that nobody hears.
    broker = connection.default_channel.client

    def subscribed() -> bool:
        drain(connection)
        return len(broker.client_list(_type="pubsub")) == among

    wait_until(subscribed, 20, "a subscription")
    return consumer


def drain(connection: Connection, seconds: float = 0.1) -> None:
    with suppress(TimeoutError):
        connection.drain_events(timeout=seconds)


def test_it_works_every_host_hears_each_ring(processes: Processes) -> None:
    broker = processes.broker()
    heard: tuple[list[Any], list[Any]] = ([], [])
    with Connection(broker.url) as one, Connection(broker.url) as two:
        listener(one, "bell.one", heard[0])
        listener(two, "bell.two", heard[1], among=2)
        bell = Bell(broker.url)
        bell.ring()

        def both() -> bool:
            drain(one)
            drain(two)
            return bool(heard[0] and heard[1])

        wait_until(both, 20, "both hosts to hear the ring")
        bell.close()
    (arguments, options, _), headers = heard[0][0]
    assert (arguments, options, headers["task"]) == ([], {}, TASK_NAME)


def test_rings_without_a_broker_return_and_later_ones_are_heard(processes: Processes) -> None:
    broker = processes.broker()
    url = broker.url
    broker.kill()
    bell = Bell(url)
    for _ in range(100):
        bell.ring()
    broker.start_and_wait()
    heard: list[Any] = []
    with Connection(url) as connection:
        listener(connection, "bell.one", heard)

        def ringing() -> bool:
            bell.ring()
            drain(connection)
            return bool(heard)

        wait_until(ringing, 20, "a ring after the broker came back")
    bell.close()


def test_a_bell_that_nobody_answers_closes_in_time() -> None:
    bell = Bell("redis+socket:///nowhere/at/all.sock")
    bell.ring()
    started = time.monotonic()
    bell.close(wait_s=1.0)
    assert time.monotonic() - started < 30, "close waits for its own bound, not for the broker"
    bell.ring()


def test_a_ring_after_a_restart_of_the_broker_is_heard(processes: Processes) -> None:
    broker = processes.broker()
    bell = Bell(broker.url)
    heard: list[Any] = []
    with Connection(broker.url) as connection:
        listener(connection, "bell.one", heard)
        bell.ring()
        wait_until(lambda: drain(connection) or bool(heard), 20, "the first ring")
    broker.kill()
    broker.start_and_wait()
    heard.clear()
    with Connection(broker.url) as connection:
        listener(connection, "bell.one", heard)
        bell.ring()
        wait_until(lambda: drain(connection) or bool(heard), 20, "the ring after the restart")
    bell.close()
