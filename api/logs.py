"""A trial's log: the stored file of an attempt, or the tail that its row keeps."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from api.context import services
from db.reads.files import AttemptRow

PART_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Bytes of one attempt's log from `offset`. `truncated`: only the end of the log is at hand."""

    fence: int | None
    offset: int
    data: bytes
    total_bytes: int
    complete: bool
    truncated: bool

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")

    @property
    def next_offset(self) -> int:
        return self.offset + len(self.data)


def choose(attempts: Sequence[AttemptRow], fence: int | None) -> AttemptRow | None:
    """The attempt of that fence, or the newest (attempts come newest first)."""
    wanted = [row for row in attempts if fence in (None, row.fence)]
    return wanted[0] if wanted else None


def read_log(attempt: AttemptRow | None, offset: int, most_bytes: int = PART_BYTES) -> LogSlice:
    """At most `most_bytes` from `offset`, ending at a whole character while more is to come."""
    if attempt is None:
        return LogSlice(None, 0, b"", 0, False, False)
    complete = attempt.ended_at is not None
    found = _stored(attempt, offset, most_bytes)
    if found is None:
        whole = (attempt.log_tail or "").encode()
        offset = min(offset, len(whole))
        data = _whole_characters(whole[offset : offset + most_bytes])
        truncated = bool(whole)
        return LogSlice(attempt.fence, offset, data, len(whole), complete, truncated)
    data, total = found
    return LogSlice(attempt.fence, min(offset, total), data, total, complete, False)


def tail(attempt: AttemptRow | None, most_bytes: int) -> LogSlice:
    """The log's last bytes, beginning at a whole line."""
    total = read_log(attempt, 0, 0).total_bytes
    start = max(0, total - most_bytes)
    part = read_log(attempt, start, most_bytes)
    if start == 0:
        return part
    cut = part.data.find(b"\n") + 1
    data = part.data[cut:]
    return LogSlice(part.fence, start + cut, data, total, part.complete, part.truncated)


def _stored(attempt: AttemptRow, offset: int, most_bytes: int) -> tuple[bytes, int] | None:
    if attempt.log_key is None:
        return None
    try:
        file = services().store.get(attempt.log_key)
    except OSError:
        # Gone, or away with the store: the row's tail is there in any case.
        return None
    with file:
        total = file.seek(0, os.SEEK_END)
        file.seek(min(offset, total))
        return _whole_characters(file.read(most_bytes)), total


def _whole_characters(data: bytes) -> bytes:
    """Without the first bytes of a character that is cut off at the end."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        need = (
            2
            if byte >> 5 == 0b110
            else 3
            if byte >> 4 == 0b1110
            else 4
            if byte >> 3 == 0b11110
            else 1
        )
        return data[:-back] if need > back else data
    return data
