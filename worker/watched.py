"""A runner with its watch and its limits, from spawn to retirement."""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from worker.devices import Device
from worker.exits import Ending, ending_of
from worker.guards import MEBIBYTE, Guards
from worker.logs import tail_of
from worker.out_of_memory import read_counters
from worker.process import COMMAND, RunnerGone, RunnerProcess
from worker.protocol import Bye, FromSlot
from worker.watch import Item, Rang, Watch

logger = logging.getLogger(__name__)

BYE_GRACE_S = 1.0
# As many as a runner keeps; `worker.runner` is a process of its own, and nothing imports it.
MOST_TRACED = 32


class WatchedRunner:
    """One runner process and the thread that watches over it.

    Start it from the slot's own thread, and call everything but `ring` from there.
    """

    def __init__(
        self,
        device: Device,
        home: Path,
        memory_limit_mb: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[], None] = lambda: None,
        command: Sequence[str] = COMMAND,
        pass_fds: Sequence[int] = (),
        lease_clock: Callable[[], float] | None = None,
    ) -> None:
        """Start a runner. Raises OSError."""
        self.home = home
        self.log = home.with_name(home.name + ".log")
        self.log.unlink(missing_ok=True)
        self._process = RunnerProcess(device, home, self.log, command, pass_fds)
        self.guards = Guards(clock, memory_limit_mb, lease_clock=lease_clock)
        self.trials_served = 0
        self.traced: dict[str, None] = {}
        """Trace keys of what it has trained, the latest last."""
        self.was_given_work = False
        self.must_retire: str | None = None
        self.is_stuck = False
        self._ending: Ending | None = None
        self._resident_at_first_mb: float | None = None
        self._watch = Watch(
            self._process, self.guards, on_end, name=f"watch of runner {self._process.pid}"
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        """Whether its imports are done."""
        return self.guards.is_ready

    @property
    def is_alive(self) -> bool:
        return not self._process.has_ended()

    def send(self, message: FromSlot) -> None:
        """Send a message. Raises RunnerGone."""
        self._process.send(message)

    def receive(self, timeout_s: float) -> Item | None:
        """The next thing that the watch has seen, or None when nothing came in time."""
        try:
            item = self._watch.inbox.get(timeout=max(0.0, timeout_s))
        except queue.Empty:
            return None
        if isinstance(item, Rang):
            self._watch.heard()
        return item

    def ring(self) -> None:
        """Wake whoever waits in `receive`; from any thread."""
        self._watch.ring()

    def kill(self) -> None:
        """End the whole group at once; `Ended` follows."""
        self._process.kill()

    def resume(self) -> None:
        """Let a suspended runner go on."""
        self._process.resume()

    def log_tail(self) -> str:
        """The end of what the runner printed outside of any trial."""
        return tail_of(self.log)

    def note_given(self) -> None:
        """It gets trials: what was killed for want of memory before is none of them."""
        self.was_given_work = True
        self._process.counters = read_counters()

    def note_served(self, trace_key: str | None = None) -> None:
        """A trial was answered; ``trace_key`` names what was traced for it."""
        self.trials_served += 1
        if trace_key is not None:
            self.traced.pop(trace_key, None)
            self.traced[trace_key] = None
            if len(self.traced) > MOST_TRACED:
                del self.traced[next(iter(self.traced))]

    def grown_mb(self) -> float:
        """MiB that it holds more than when this was first asked.

        It looks at every process of the machine: once a lease, not once a trial of a group.
        """
        resident_mb = self._process.resident_bytes() / MEBIBYTE
        if self._resident_at_first_mb is None:
            self._resident_at_first_mb = resident_mb
        return resident_mb - self._resident_at_first_mb

    def retire(self) -> Ending:
        """End the runner, leave nothing of its group, and tell how it ended.

        An idle runner is asked first, so that it can close its devices in order. A second call
        brings the same answer.
        """
        if self._ending is None:
            self._ending = self._end()
        return self._ending

    def _end(self) -> Ending:
        if self.is_alive and self.is_ready and self.must_retire is None:
            with suppress(RunnerGone):
                self._process.send(Bye(), timeout_s=BYE_GRACE_S)
                self._process.wait(BYE_GRACE_S)
        self._process.kill()
        self._watch.join(5.0)
        counters = self._process.counters
        status = self._process.finish()
        if status is None:
            self.is_stuck = True
            logger.error("runner %d is stuck in the kernel and cannot be ended", self.pid)
            return Ending("internal", "The runner is stuck in the kernel and cannot be ended.")
        return ending_of(status, counters, read_counters())
