"""A trial's log: what its runner printed, bounded in size, with its tail at hand."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# What one failed trial's reason shows of its log.
TAIL_BYTES = 8 * 1024


class TrialLog:
    """The file that a runner appends to, kept within a limit while it runs.

    A log past its limit loses its middle: the first half of the limit is set aside in a second
    file, and from then on the newest quarter to half is kept. The runner's file is shortened in
    place, since the runner holds it open for appending.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """``path`` is created, mode 0600, if it is not there."""
        self.path = path
        self._head = path.with_name(path.name + ".head")
        self._limit_bytes = limit_bytes
        self._dropped_bytes = 0
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))

    @property
    def size_bytes(self) -> int:
        """Bytes of what `write_to` would write, without its marker; it grows with each line."""
        return _size(self.path) + _size(self._head)

    @property
    def written_bytes(self) -> int:
        """Bytes ever written to the log, those dropped included."""
        return self.size_bytes + self._dropped_bytes

    def note(self, text: str) -> None:
        """Add a line of labpool's own."""
        with suppress(OSError), self.path.open("ab") as file:
            file.write(f"labpool: {text}\n".encode())

    def trim(self) -> None:
        """Drop the middle of a log that has grown past its limit."""
        half_bytes = self._limit_bytes // 2
        room_bytes = half_bytes if self._head.exists() else self._limit_bytes
        size_bytes = _size(self.path)
        if size_bytes <= room_bytes:
            return
        with self.path.open("r+b") as file:
            start = 0
            if not self._head.exists():
                self._head.write_bytes(file.read(half_bytes))
                start = half_bytes
            keep_bytes = self._limit_bytes // 4
            file.seek(max(start, size_bytes - keep_bytes))
            newest = file.read()
            self._dropped_bytes += size_bytes - start - len(newest)
            # A line written between the read and the cut is lost; it is the middle that goes.
            file.truncate(0)
        with self.path.open("ab") as file:
            file.write(newest)

    def tail(self, limit_bytes: int = TAIL_BYTES) -> str:
        """The end of the log as text, from a line's start where there is one."""
        return tail_of(self.path, limit_bytes)

    def write_to(self, target: Path) -> int:
        """Write the log as users see it, with a marker where its middle is gone.

        Returns its size in bytes. Raises OSError.
        """
        self.trim()
        with target.open("wb") as output:
            if self._head.exists():
                output.write(self._head.read_bytes())
                output.write(f"\n… {self._dropped_bytes:,} bytes left out …\n".encode())
            with self.path.open("rb") as newest:
                output.write(newest.read(self._limit_bytes))
            return output.tell()


def tail_of(path: Path, limit_bytes: int = TAIL_BYTES) -> str:
    """The end of a file as text, from a line's start where there is one; empty if unreadable."""
    with suppress(OSError), path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, size_bytes - limit_bytes))
        data = file.read()
        if size_bytes > limit_bytes:
            data = data.partition(b"\n")[2] or data
        return data.decode("utf-8", "replace").replace("\x00", "\ufffd")
    return ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
