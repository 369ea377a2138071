"""The data folder: private, writable, used by one `up` at a time."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from deploy.errors import AlreadyRunning, DataFolderUnusable
from deploy.process_table import ProcessId, descendants, is_alive, kill_if_alive

LEFTOVER_GRACE_S = 15.0


def prepare_folder(folder: Path) -> None:
    """Create the folder (0700) and its parts and check that it can be written to."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in ("run", "logs"):
            (folder / part).mkdir(mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataFolderUnusable(folder, error) from None


class FolderLock:
    """Held while `up` runs; freed by the kernel however it ends.

    The file says who holds it and lists the children, so that the next `up` after a kill -9 can
    wait for whatever is still ending.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "run" / "up.lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        # Append mode neither truncates nor needs the file to exist.
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise DataFolderUnusable(self.folder, error) from None
            holder = read_json(self.path)
            raise AlreadyRunning(self.folder, holder.get("pid"), holder.get("url")) from None
        self._file = file
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()

    def leftovers(self) -> list[ProcessId]:
        """Processes of an earlier `up` on this folder that still run."""
        recorded = read_json(self.path).get("children", [])
        children = [ProcessId(int(pid), int(start)) for pid, start in recorded]
        return [child for child in children if is_alive(child)]

    def note(self, url: str, children: Iterable[ProcessId]) -> None:
        """Record who holds the lock, where it listens and what it started."""
        assert self._file is not None
        text = json.dumps({"pid": os.getpid(), "url": url, "children": [*map(list, children)]})
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()


def end_leftovers(lock: FolderLock, say: Callable[[str], None]) -> None:
    """Wait for an earlier stack's processes to end by themselves, then kill what is left."""
    remaining = lock.leftovers()
    if not remaining:
        return
    say(f"An earlier labpool on this folder is still ending (processes {_pids(remaining)}).")
    deadline = time.monotonic() + LEFTOVER_GRACE_S
    while (remaining := lock.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in remaining:
        for member in (*descendants(process.pid), process):
            kill_if_alive(member)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when there is none to be read."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        return content if isinstance(content, dict) else {}
    return {}


def write_private_json(path: Path, content: dict[str, Any]) -> None:
    """Replace a file that only its owner may read, at once and durably."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - mkstemp's descriptor
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _pids(processes: Iterable[ProcessId]) -> str:
    return ", ".join(str(process.pid) for process in processes)
