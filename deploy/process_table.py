"""Who descends from whom, read from /proc (Linux; elsewhere nothing is found)."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class ProcessId(NamedTuple):
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start_ticks: int


def identify(pid: int) -> ProcessId | None:
    """The process as it is now, or None when there is none (a zombie counts as none)."""
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] == "Z" else ProcessId(pid, int(fields[19]))


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs."""
    return identify(process.pid) == process


def descendants(pid: int) -> list[ProcessId]:
    """Children, grandchildren and so on of `pid`, without itself."""
    children: dict[int, list[ProcessId]] = {}
    for entry in PROC.glob("[0-9]*") if PROC.is_dir() else ():
        fields = _stat_fields(int(entry.name))
        if fields is not None and fields[0] != "Z":
            process = ProcessId(int(entry.name), int(fields[19]))
            children.setdefault(int(fields[1]), []).append(process)
    found: list[ProcessId] = []
    waiting = list(children.get(pid, ()))
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting.extend(children.get(process.pid, ()))
    return found


def kill_if_alive(process: ProcessId, signal_number: int = signal.SIGKILL) -> bool:
    """Send a signal to this very process; False when it is gone."""
    if not is_alive(process):
        return False
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, signal_number)
        return True
    return False


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on: [0] state, [1] parent, [19] start."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name may hold spaces and brackets; the last bracket ends it.
    return text.rpartition(")")[2].split()
