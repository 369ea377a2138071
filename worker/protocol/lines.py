"""Messages as lines, and lines as messages."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from labpool.errors import LabpoolError
from worker.protocol.from_runner import FromRunner as _FromRunner
from worker.protocol.from_slot import FromSlot as _FromSlot
from worker.protocol.predicting import Predict, Predicted, Unpredicted
from worker.wire_types import LINE_LIMIT_BYTES, REASON_LIMIT_CHARACTERS

_M = TypeVar("_M")

FromSlot: TypeAlias = _FromSlot | Predict
FromRunner: TypeAlias = _FromRunner | Predicted | Unpredicted
Message: TypeAlias = FromSlot | FromRunner

_FROM_SLOT: TypeAdapter[FromSlot] = TypeAdapter(Annotated[FromSlot, Field(discriminator="type")])
_FROM_RUNNER: TypeAdapter[FromRunner] = TypeAdapter(
    Annotated[FromRunner, Field(discriminator="type")]
)


class ProtocolError(LabpoolError):
    """A line between a slot and its runner breaks the protocol."""


def clean_text(text: str, limit: int = REASON_LIMIT_CHARACTERS) -> str:
    """`text` as the protocol carries it: no NUL, no lone surrogate, at most `limit` characters."""
    storable = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return storable if len(storable) <= limit else storable[: limit - 1] + "…"


def encode(message: Message) -> bytes:
    """One line with its newline. Raises ProtocolError when it would pass LINE_LIMIT_BYTES."""
    line = message.model_dump_json().encode() + b"\n"
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"a {message.type} message of {len(line)} bytes")
    return line


def parse_from_runner(line: bytes) -> FromRunner:
    """Read a runner's line. Raises ProtocolError naming the field, never the line's content."""
    return _parse(_FROM_RUNNER, line)


def parse_from_slot(line: bytes) -> FromSlot:
    """Read a slot's line. Raises ProtocolError naming the field."""
    return _parse(_FROM_SLOT, line)


def _parse(adapter: TypeAdapter[_M], line: bytes) -> _M:
    if len(line) > LINE_LIMIT_BYTES:
        raise ProtocolError(f"a line longer than {LINE_LIMIT_BYTES} bytes")
    try:
        return adapter.validate_json(line)
    except ValidationError as error:
        # A line of hundreds of wrong fields must not become a message of hundreds of lines.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = "/".join(clean_text(str(part), 80) for part in first["loc"][:8]) or "the line"
        raise ProtocolError(f"{place}: {clean_text(first['msg'], 200)}") from None


class LineBuffer:
    """Cuts a byte stream into lines, however the reads fall.

    A peer that never sends a newline costs at most LINE_LIMIT_BYTES of memory.
    """

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by `data`, newlines taken off. Raises ProtocolError when one is too
        long; the stream is of no use after that."""
        *lines, rest = (self._rest + data).split(b"\n")
        if any(len(line) >= LINE_LIMIT_BYTES for line in (*lines, rest)):
            self._rest = b""
            raise ProtocolError(f"a line longer than {LINE_LIMIT_BYTES} bytes")
        self._rest = rest
        return lines
