"""One child process: its command, its log, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from deploy.process_table import ProcessId, descendants, identify, kill_if_alive

ROOT = Path(__file__).resolve().parent.parent
TETHER = Path(__file__).with_name("tether.py")
LOG_ROTATE_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 16 * 1024


class Child:
    """A process in a session of its own that ends with the thread that started it.

    Output goes to `log_path` (appended, mode 0600). A stopped child can be started again.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log_path: Path,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.environment = dict(environment)
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start_bytes = 0

    @property
    def pid(self) -> int:
        """The number of the running (or last) process."""
        return self._started().pid

    @property
    def identity(self) -> ProcessId | None:
        """The running process, safe against reuse of its number; None when it ended."""
        return identify(self.pid) if self.running else None

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal, None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start the process; call from a thread that lives as long as the child is wanted."""
        rotate(self.log_path)
        self.log_path.touch(mode=0o600)
        with self.log_path.open("ab") as log:
            self._log_start_bytes = log.seek(0, os.SEEK_END)
            tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())]
            self._process = subprocess.Popen(
                [*tether, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
            )

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; False when the time is up."""
        try:
            self._started().wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def signal(self, signal_number: int) -> None:
        """Send a signal to the process alone, if it still runs."""
        if self.running:
            self._started().send_signal(signal_number)

    def kill(self) -> None:
        """SIGKILL the process alone, as a fault would, and wait for its end."""
        self.signal(signal.SIGKILL)
        self.wait(5.0)

    def stop(self, grace_s: float) -> bool:
        """SIGTERM, wait, then SIGKILL whatever is left of it; True when the grace was enough."""
        if self._process is None:
            return True
        family = descendants(self.pid)
        self.signal(signal.SIGTERM)
        in_time = self.wait(grace_s)
        family += [process for process in descendants(self.pid) if process not in family]
        self._kill_group()
        for process in family:
            kill_if_alive(process)
        self.wait(5.0)
        return in_time

    def log_tail(self, lines: int = 15) -> str:
        """The last lines this process (not an earlier one) wrote."""
        return tail(self.log_path, lines, self._log_start_bytes)

    def end(self) -> str:
        """How it ended, in words."""
        return describe_end(self.status)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


def describe_end(status: int | None) -> str:
    """An exit status as subprocess reports it, in words."""
    if status is None:
        return "still runs"
    if status < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def tail(path: Path, lines: int, start_bytes: int = 0) -> str:
    """The last lines of a text file, from `start_bytes` on."""
    with suppress(OSError), path.open("rb") as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(min(start_bytes, size_bytes), size_bytes - TAIL_BYTES))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
    return ""


def rotate(log_path: Path) -> None:
    """Keep one older log, so that a log folder cannot grow without bound over restarts."""
    with suppress(FileNotFoundError):
        if log_path.stat().st_size > LOG_ROTATE_BYTES:
            log_path.replace(log_path.with_name(log_path.name + ".1"))


def child_environment(environment: Mapping[str, str], **settings: str) -> dict[str, str]:
    """`environment` for a child that must find labpool's folders from wherever it starts."""
    result = {**environment, **settings}
    path = [str(ROOT), *filter(None, result.get("PYTHONPATH", "").split(os.pathsep))]
    result["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    result["PYTHONUNBUFFERED"] = "1"
    return result
