"""Which process listens on a port, read from /proc (Linux; elsewhere nobody is found)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTENING = "0A"
LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Holder:
    """A process that listens."""

    pid: int
    command: str

    @property
    def is_labpool(self) -> bool:
        """Whether it is the API of a labpool."""
        return "api.wsgi" in self.command

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command[:LONGEST_SHOWN]})"


def holder_of_port(port: int) -> Holder | None:
    """The lowest process that listens on TCP `port`; None when none can be seen."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    for pid in sorted(int(entry.name) for entry in PROC.glob("[0-9]*")):
        if wanted & _targets(pid):
            with suppress(OSError):
                raw = (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0")
                return Holder(pid, raw.replace(b"\0", b" ").decode("utf-8", "replace"))
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(fields[9])
    return found


def _targets(pid: int) -> set[str]:
    found = set()
    # Another user's process keeps its files to itself, and any process may end meanwhile.
    with suppress(OSError):
        for descriptor in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(str(descriptor.readlink()))
    return found
