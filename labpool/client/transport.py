"""Requests to one service: the token, retries that are safe, problems as exceptions."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

from labpool import __version__
from labpool.client.address import Address
from labpool.client.errors import ApiError, Unreachable

ATTEMPTS = 5
LONGEST_PAUSE_S = 4.0
TIMEOUT_S = 30.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")
# The request did not get through, or a proxy could not hand it on: asking again can help.
PASSING_STATUSES = frozenset({502, 503, 504})


class Transport:
    """JSON over HTTP below `<url>/api/v1`.

    A GET is repeated when the connection fails or the service is briefly away; a POST only when
    an Idempotency-Key or its nature makes that harmless.
    """

    def __init__(
        self,
        address: Address,
        *,
        http: httpx.Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.address = address
        self._pause = pause
        # A proxy set for the outside world is no way to this very machine.
        trust_env = httpx.URL(address.url).host not in LOOPBACK
        self._http = http or httpx.Client(timeout=TIMEOUT_S, trust_env=trust_env)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **parameters: object) -> Any:
        """The JSON answer to a GET; parameters that are None are left out."""
        return self.send("GET", path, parameters=parameters).json()

    def post(
        self,
        path: str,
        *,
        content: bytes | None = None,
        media_type: str = "application/json",
        key: str | None = None,
        repeat: bool = False,
    ) -> Any:
        """The JSON answer to a POST; `repeat` when doing it twice is as good as once."""
        headers = {"Idempotency-Key": key} if key else {}
        if content is not None:
            headers["Content-Type"] = media_type
        repeat = repeat or key is not None
        return self.send("POST", path, content=content, headers=headers, repeat=repeat).json()

    def post_form(
        self, path: str, fields: Mapping[str, str], files: Sequence[tuple[str, BinaryIO]]
    ) -> Any:
        """The JSON answer to a form with files; it is sent once."""
        request = self._http.build_request(
            "POST",
            f"{self.address.url}/api/v1{path}",
            data=dict(fields),
            files=[("file", (name, file)) for name, file in files],
            headers=self._headers(None),
        )
        try:
            return _checked(self._http.send(request)).json()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def patch(self, path: str, content: bytes) -> Any:
        """The JSON answer to a PATCH; doing it twice is as good as once."""
        headers = {"Content-Type": "application/json"}
        return self.send("PATCH", path, content=content, headers=headers).json()

    def send(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, object] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> httpx.Response:
        """One answer with a good status; raises ApiError or Unreachable."""
        request = self._request(method, path, parameters, content, headers)
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1 or not repeat
            try:
                answer = self._http.send(request)
            except httpx.TransportError as error:
                if last:
                    raise self._unreachable(error) from None
            else:
                if answer.status_code not in PASSING_STATUSES or last:
                    return _checked(answer)
            self._pause(random.uniform(0.5, 1.0) * min(0.2 * 3**attempt, LONGEST_PAUSE_S))  # noqa: S311
        raise AssertionError("unreachable")

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """A GET whose body is read piece by piece."""
        request = self._request("GET", path, None, None, headers)
        try:
            answer = self._http.send(request, stream=True)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        try:
            if answer.is_error:
                answer.read()
            yield _checked(answer)
        finally:
            answer.close()

    def _request(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, object] | None,
        content: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        # A `next` link is host-relative and whole already.
        url = self.address.url + (path if path.startswith("/api/") else f"/api/v1{path}")
        given = {
            name: str(value) for name, value in (parameters or {}).items() if value is not None
        }
        return self._http.build_request(
            method, url, params=given or None, content=content, headers=self._headers(headers)
        )

    def _headers(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        sent = {
            "Accept": "application/json",
            "User-Agent": f"labpool/{__version__}",
            **(headers or {}),
        }
        if self.address.token:
            sent["Authorization"] = f"Bearer {self.address.token}"
        return sent

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        return Unreachable(self.address.url, str(error) or type(error).__name__)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
        return answer
    try:
        document = answer.json()
    except ValueError:
        document = {"title": f"{answer.status_code} {answer.reason_phrase}, not labpool's answer"}
    raise ApiError(answer.status_code, document if isinstance(document, dict) else {})
