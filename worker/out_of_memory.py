"""Evidence that the kernel's out-of-memory killer was at work.

A killed process cannot say why. The kernel counts such kills for each control group (version 2:
``memory.events``, version 1: ``memory.oom_control``) and for the whole machine (``/proc/vmstat``);
a counter that moved while a runner died is the best evidence there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class KillCounters:
    """Kills counted so far. None where the system does not tell."""

    control_group: int | None
    machine: int | None

    def moved_since(self, before: KillCounters) -> str | None:
        """What the counters show happened since ``before``, or None when they stood still."""
        for where, then, now in (
            ("this worker's control group", before.control_group, self.control_group),
            ("this machine", before.machine, self.machine),
        ):
            if then is not None and now is not None and now > then:
                return f"the out-of-memory kills counted for {where} went from {then} to {now}"
        return None

    @property
    def known(self) -> bool:
        return self.control_group is not None or self.machine is not None


def read_counters(proc: Path = Path("/proc"), root: Path = CGROUP_ROOT) -> KillCounters:
    """The counters as they stand; a runner lives in its worker's control group."""
    return KillCounters(
        control_group=next(
            (
                count
                for path in _counter_files(proc, root)
                if (count := _oom_kill(path)) is not None
            ),
            None,
        ),
        machine=_oom_kill(proc / "vmstat"),
    )


def _counter_files(proc: Path, root: Path) -> Iterator[Path]:
    # Inside a container the path named may lie outside of what is mounted; the mount's root is
    # the container's own group then.
    for line in _lines(proc / "self" / "cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield root / path.lstrip("/") / "memory.events"
            yield root / "memory.events"
        elif "memory" in controllers.split(","):
            yield root / "memory" / path.lstrip("/") / "memory.oom_control"
            yield root / "memory" / "memory.oom_control"


def _oom_kill(path: Path) -> int | None:
    for line in _lines(path):
        name, _, value = line.partition(" ")
        if name == "oom_kill" and value.strip().isdigit():
            return int(value)
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
