"""A listener to the event stream of a real server."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from dataclasses import dataclass
from typing import Any

import httpx

HEARD_WITHIN_S = 30.0


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    kind: str
    data: dict[str, Any]
    id: str


class Listener:
    """Reads one stream in a thread of its own until it ends or is left."""

    def __init__(self, url: str, topics: str, **headers: str) -> None:
        self.messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.client = httpx.Client(timeout=60.0, trust_env=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = self.client.build_request(
            "GET", f"{url}/api/v1/stream", params={"topics": topics}, headers=named
        )
        self.answer = self.client.send(request, stream=True)
        if self.answer.status_code != 200:
            self.answer.read()
            self.client.close()
            return
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif not line and "event" in fields:
                    data = json.loads(fields["data"])
                    self.messages.put(Message(fields["event"], data, fields.get("id", "")))
                    fields = {}
                elif not line:
                    fields = {}
        except (httpx.HTTPError, httpx.StreamError, OSError):
            pass
        finally:
            self.answer.close()
            self.client.close()
            self.messages.put(None)

    def next(self) -> Message | None:
        """The next message; None when the stream has ended. Fails when none comes."""
        return self.messages.get(timeout=HEARD_WITHIN_S)

    def until(self, kind: str) -> Message:
        """The next message of this kind."""
        while message := self.next():
            if message.kind == kind:
                return message
        raise AssertionError(f"the stream ended before {kind!r}")

    def leave(self) -> None:
        """Close the connection, as a browser's tab does that is closed."""
        if self.answer.status_code != 200:
            return
        connection = self.answer.extensions["network_stream"].get_extra_info("socket")
        with contextlib.suppress(OSError):
            # Closing alone would not wake the thread that reads.
            connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(HEARD_WITHIN_S)
