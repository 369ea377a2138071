"""What the command line's exit statuses mean. Scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

from labpool.client.errors import (
    ApiError,
    BadAddress,
    NoService,
    NotThere,
    Unreachable,
    WaitTimeout,
)
from labpool.errors import LabpoolError


class ExitCode(IntEnum):
    """The exit statuses of every `labpool` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_SERVICE = 3
    REFUSED = 4
    INVALID = 5
    NOT_FOUND = 6
    TRIALS_FAILED = 7
    TIMED_OUT = 8
    INTERRUPTED = 130


MEANINGS = {
    ExitCode.OK: "done; for submit --watch, watch and demo: and every trial succeeded",
    ExitCode.FAILED: "something else went wrong, or doctor found a problem; the message says what",
    ExitCode.USAGE: "the command was not written as its --help says",
    ExitCode.NO_SERVICE: "no service is known here, or it does not answer",
    ExitCode.REFUSED: "the token is missing or wrong, or its user's role does not allow this",
    ExitCode.INVALID: "the spec or the request is not valid; every bad field is named",
    ExitCode.NOT_FOUND: "there is no such trial, experiment or board, or it is not yours to see",
    ExitCode.TRIALS_FAILED: "the trials ended, but not all of them succeeded",
    ExitCode.TIMED_OUT: "the time given for waiting is over; the trials go on",
    ExitCode.INTERRUPTED: "Ctrl-C",
}


def exit_code_of(error: LabpoolError) -> ExitCode:
    """The exit status for an error."""
    if isinstance(error, ApiError):
        by_status = {401: ExitCode.REFUSED, 403: ExitCode.REFUSED, 404: ExitCode.NOT_FOUND}
        default = ExitCode.INVALID if 400 <= error.status < 429 else ExitCode.FAILED
        return by_status.get(error.status, default)
    if isinstance(error, NoService | BadAddress | Unreachable):
        return ExitCode.NO_SERVICE
    if isinstance(error, NotThere):
        return ExitCode.NOT_FOUND
    if isinstance(error, WaitTimeout):
        return ExitCode.TIMED_OUT
    return ExitCode.FAILED
