"""A web server on loopback that gives files, or misbehaves in the way asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Mirror(ThreadingHTTPServer):
    """`files` by path; the first part of a path says how it is given: /good/a, /cut/a, …"""

    daemon_threads = True
    block_on_close = False

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), _Answers)

    def url(self, manner: str, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{manner}/{name}"


class _Answers(BaseHTTPRequestHandler):
    server: Mirror

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        pass

    def do_GET(self) -> None:
        _, manner, name = self.path.split("/", 2)
        begin = self.headers.get("Range", "")
        self.server.asked.append((manner, begin))
        body = self.server.files[name]
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{manner}")(body, begin)

    def _head(self, status: int, length: int | None, **more: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _good(self, body: bytes, begin: str) -> None:
        if begin:
            have = int(begin.removeprefix("bytes=").rstrip("-"))
            where = f"bytes {have}-{len(body) - 1}/{len(body)}"
            self._head(206, len(body) - have, Content_Range=where)
            self.wfile.write(body[have:])
            return
        self._head(200, len(body))
        self.wfile.write(body)

    def _no_ranges(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body))
        self.wfile.write(body)

    def _cut(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body))
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _longer(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body) + 5)
        self.wfile.write(body + b"extra")

    def _endless(self, body: bytes, _begin: str) -> None:
        self._head(200, None)
        while True:
            self.wfile.write(body)

    def _wrong(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body))
        self.wfile.write(body[:-1] + bytes([body[-1] ^ 1]))

    def _missing(self, _body: bytes, _begin: str) -> None:
        self._head(404, 0)

    def _silent(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body))
        time.sleep(20)

    def _drips(self, body: bytes, _begin: str) -> None:
        self._head(200, len(body))
        for place in range(len(body)):
            self.wfile.write(body[place : place + 1])
            self.wfile.flush()
            time.sleep(0.05)

    def _elsewhere(self, _body: bytes, _begin: str) -> None:
        self._head(302, 0, Location="http://mirror.example/file")

    def _stranger(self, body: bytes, begin: str) -> None:
        """Goes on somewhere else than it was asked to."""
        self._head(206 if begin else 200, len(body), Content_Range=f"bytes 0-{len(body) - 1}/*")
        self.wfile.write(body)


@contextmanager
def mirror(files: dict[str, bytes]) -> Iterator[Mirror]:
    """A mirror for the length of a block."""
    server = Mirror(files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
