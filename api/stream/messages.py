"""What goes over one event stream, from its opening to its end."""

from __future__ import annotations

import json
import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from api.stream.hub import Hub, Subscription
from db.reads.changes import Position

RETRY_MS = 2000
HEARTBEAT_S = 15.0
FIRST_LOOK_S = 10.0
# A closed browser tab gives its place back within this, long before a heartbeat would tell.
_TURN_S = 1.0


def message(kind: str, data: dict[str, Any], position: Position | None) -> str:
    """One server-sent event; its id is where to go on from."""
    place = f"id: {position.event_id}.{position.chunk_id}\n" if position else ""
    return f"event: {kind}\n{place}data: {json.dumps(data, separators=(',', ':'))}\n\n"


def messages(
    hub: Hub,
    listener: Subscription,
    missed: Callable[[], frozenset[str]],
    lifetime_s: float,
    is_gone: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """`hello`, then `changed` with topics as they change, comments in between, `end` at the end.

    `missed` gives the topics with news since the listener was here last. Lifetimes vary a little,
    so that listeners who came together do not come back together.
    """
    yield f"retry: {RETRY_MS}\n\n"
    if not hub.wait_for_first_look(FIRST_LOOK_S):
        yield message("end", {"reason": "trouble"}, None)
        return
    yield message("hello", {"topics": sorted(listener.topics.names)}, hub.position)
    if earlier := missed():
        yield message("changed", {"topics": sorted(earlier)}, hub.position)
    now = clock()
    end_s, beat_s = now + lifetime_s * random.uniform(0.9, 1.0), now + HEARTBEAT_S  # noqa: S311
    while not is_gone():
        topics = listener.wait(_TURN_S)
        now = clock()
        if topics:
            yield message("changed", {"topics": sorted(topics)}, hub.position)
            beat_s = now + HEARTBEAT_S
        elif now >= beat_s:
            yield ": beat\n\n"
            beat_s = now + HEARTBEAT_S
        if listener.ended or now >= end_s:
            yield message("end", {"reason": listener.ended or "time"}, hub.position)
            return


def disconnection(connection: socket.socket | None) -> Callable[[], bool]:
    """Tells whether the other side has closed. Without a socket to look at, never."""

    def is_gone() -> bool:
        if connection is None:
            return False
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
        except (OSError, ValueError):
            return True

    return is_gone
