"""One runner process: started, spoken to, suspended, ended without leftovers."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from labpool.errors import LabpoolError
from worker import process_group
from worker.devices import Device
from worker.out_of_memory import KillCounters, read_counters
from worker.protocol import FromSlot, encode
from worker.surroundings import runner_environment

COMMAND = (sys.executable, "-m", "worker.runner")
SEND_TIMEOUT_S = 5.0


class RunnerGone(LabpoolError):
    """The runner no longer takes messages."""

    permanent = False


class RunnerProcess:
    """A runner, leader of a session and process group of its own.

    Start it from a thread that lives as long as the runner is wanted: the kernel ends a runner with
    the *thread* that started it. `kill`, `suspend` and `resume` may come from any thread.
    """

    def __init__(
        self,
        device: Device,
        home: Path,
        log: Path,
        command: Sequence[str] = COMMAND,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start a runner whose output goes to ``log`` until a trial's own log takes over.

        ``home`` is created; ``pass_fds`` are kept open in the runner. Raises OSError.
        """
        home.mkdir(parents=True, exist_ok=True)
        self.socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._status: int | None = None
        self.counters: KillCounters = read_counters()
        try:
            with theirs, log.open("ab") as output:
                # No preexec_fn: between fork and exec it would run Python beside other threads'
                # locks. The runner asks for its parent-death signal itself, first thing.
                self._process = subprocess.Popen(
                    [
                        *command,
                        "--fd",
                        str(theirs.fileno()),
                        "--parent-pid",
                        str(os.getpid()),
                        "--threads",
                        str(device.threads),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=home,
                    env=runner_environment(device, home),
                    pass_fds=(theirs.fileno(), *pass_fds),
                    start_new_session=True,
                )
        except BaseException:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.pid = self._process.pid

    def send(self, message: FromSlot, timeout_s: float = SEND_TIMEOUT_S) -> None:
        """Send one message. Raises RunnerGone when it ended or has stopped reading."""
        rest = memoryview(encode(message))
        deadline = time.monotonic() + timeout_s
        while rest:
            try:
                # Send first, ask later: select calls a socket writable only when three quarters
                # of its buffer are free.
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise RunnerGone("It does not read its socket.") from None
                select.select((), (self.socket,), (), left_s)
            except OSError as error:
                raise RunnerGone(str(error)) from error

    def has_ended(self) -> bool:
        """Whether the process itself (not its children) has ended; it is not reaped by this."""
        with self._lock:
            return self._status is not None or self._ended_unreaped()

    def kill(self) -> None:
        """SIGKILL the whole group."""
        self._signal(signal.SIGKILL)

    def suspend(self) -> None:
        """Stop the whole group where it stands."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended group go on."""
        self._signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the process itself to end; False when the time is up."""
        deadline = time.monotonic() + timeout_s
        while not self.has_ended():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def finish(self, timeout_s: float = 10.0) -> int | None:
        """Kill and reap whatever is left of the group and close the socket.

        Returns the exit status, negative for a signal; None when the process is stuck in the
        kernel and not even SIGKILL ends it.
        """
        deadline = time.monotonic() + timeout_s
        self.kill()
        self.wait(timeout_s)
        with self._lock:
            # The leader is reaped last: as long as its entry stands, the group's number cannot
            # pass to a stranger.
            if self._status is None:
                process_group.kill_group(self.pid, max(0.1, deadline - time.monotonic()))
                with suppress(subprocess.TimeoutExpired):
                    self._status = self._process.wait(timeout=0.1)
            status = self._status
        self.socket.close()
        return status

    def resident_bytes(self) -> int:
        """Memory that the whole group holds."""
        return process_group.resident_bytes(self.pid)

    def _ended_unreaped(self) -> bool:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, flags) is not None
        return True

    def _signal(self, number: int) -> None:
        with self._lock:
            if self._status is None:
                process_group.signal_group(self.pid, number)
