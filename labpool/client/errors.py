"""What a call can end with when it does not end well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labpool.errors import LabpoolError


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad field: `pointer` into what was sent (RFC 6901), or the query `parameter`."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        where = self.pointer or self.parameter or "(the whole)"
        hint = f" {self.suggestion}" if self.suggestion else ""
        return f"{where}: {self.detail}{hint}"


class ClientError(LabpoolError):
    """The service could not be used."""


class NoService(ClientError):
    """No labpool service is known here."""

    def __init__(self, looked_at: str) -> None:
        super().__init__(
            f"There is no {looked_at}.\n"
            "Start one with `labpool up`. If it runs on another data folder, name that with "
            "LABPOOL_DATA_DIR;\nif it runs elsewhere, set LABPOOL_URL and LABPOOL_TOKEN."
        )


class BadAddress(ClientError):
    """The service's address is not of the form http://HOST:PORT:"""


class Unreachable(ClientError):
    """The service does not answer."""

    permanent = False

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}\nIs it running? `labpool up` starts one here.")


class ApiError(ClientError):
    """The service refused the request.

    `status` is the HTTP status, `kind` the problem's stable word ("invalid-spec", "not-found",
    …), `detail` its words, `fields` every bad field at once, `request_id` what the server's log
    calls the request.
    """

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.kind = str(document.get("type", "")).rpartition(":")[2]
        self.request_id = document.get("request_id")
        self.fields = tuple(_field(item) for item in document.get("errors") or ())
        self.permanent = status not in (429, 502, 503, 504, 507)
        lines = [str(document.get("detail") or document.get("title") or "no reason given")]
        lines += [f"  {field}" for field in self.fields]
        if status == 401:
            lines.append("The token is missing, wrong, revoked or expired: see `labpool token`.")
        super().__init__("\n".join(lines))
        # After the base class has set its own.
        self.detail = lines[0]
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join((f"{self.lines[0]} (HTTP {self.status})", *self.lines[1:]))


def is_away(error: ClientError) -> bool:
    """Whether the service may be back soon: nothing answers, or a proxy or its database is away."""
    return isinstance(error, Unreachable) or (
        isinstance(error, ApiError) and error.status in (502, 503, 504)
    )


class NotThere(ClientError):
    """There is no such thing."""


class SpecUnreadable(ClientError):
    """The spec cannot be read."""


class WaitTimeout(ClientError):
    """The wait is over before the experiment is."""

    permanent = False


class NoAnswer(ClientError):
    """The model gave no answer."""


class Damaged(ClientError):
    """The download is not what the service recorded."""


class PandasMissing(ClientError):
    """to_pandas() needs pandas, and it is not installed: pip install pandas."""


def _field(item: dict[str, Any]) -> FieldProblem:
    names = ("pointer", "parameter", "suggestion")
    return FieldProblem(str(item.get("detail", "")), **{name: item.get(name) for name in names})
