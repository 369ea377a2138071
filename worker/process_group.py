"""What a process group holds and how it is ended, read from /proc."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a group. ``state`` is the kernel's letter, ``Z`` for one that has ended."""

    pid: int
    state: str
    resident_bytes: int


def members(group: int, proc: Path = PROC) -> list[Member]:
    """The processes of group ``group``, ended ones that nobody has waited for included."""
    return [member for member, its_group in _processes(proc) if its_group == group]


def living(group: int, proc: Path = PROC) -> list[Member]:
    """The processes of ``group`` that still run or could run again."""
    return [member for member in members(group, proc) if member.state not in "ZX"]


def resident_bytes(group: int, proc: Path = PROC) -> int:
    """Memory that the group's processes hold; shared pages count once for each process."""
    return sum(member.resident_bytes for member in members(group, proc))


def start_ticks(pid: int, proc: Path = PROC) -> int | None:
    """When process ``pid`` started, in clock ticks since boot; None when there is none."""
    fields = _stat_fields(proc / str(pid))
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def descends_from(pid: int, ancestor: int, proc: Path = PROC) -> bool:
    """Whether ``pid`` is ``ancestor`` or was started by it, directly or not.

    One whose own parent has ended counts by the leader of its session.
    """
    todo, seen = [pid], set[int]()
    while todo:
        number = todo.pop()
        if number == ancestor:
            return True
        fields = _stat_fields(proc / str(number))
        if number <= 1 or number in seen or fields is None:
            continue
        seen.add(number)
        todo += [int(fields[1]), int(fields[3])]
    return False


def signal_group(group: int, signal_number: int) -> None:
    """Signal every process of ``group``; a group that is gone already is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal_number)


def kill_group(group: int, timeout_s: float = 5.0) -> list[Member]:
    """SIGKILL ``group`` until nothing of it runs. Returns what would not die in ``timeout_s``.

    A process in uninterruptible sleep (a hung driver, a hung file server) cannot be killed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        signal_group(group, signal.SIGKILL)
        left = living(group)
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_POLL_S)


def _processes(proc: Path) -> Iterator[tuple[Member, int]]:
    for folder in proc.iterdir():
        if folder.name.isdigit() and (fields := _stat_fields(folder)) is not None:
            yield Member(int(folder.name), fields[0], int(fields[21]) * PAGE_BYTES), int(fields[2])


def _stat_fields(folder: Path) -> list[str] | None:
    """The fields of ``stat`` from the state on.

    0 state, 1 parent, 2 group, 3 session, 19 start, 21 resident pages.
    """
    try:
        text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # A command's name may hold spaces and brackets; the last bracket ends it.
    return text.rpartition(")")[2].split()
