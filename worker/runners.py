"""A slot's runner, and another one that waits to take its place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from worker.devices import Device
from worker.host import Host
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 600.0


class Runners:
    """The runner that a slot works with, and its standby.

    An import of TensorFlow takes seconds. The standby did that while the other was at work: a
    runner that is replaced, or that a trial broke, costs the slot no waiting. To be used from the
    slot's thread alone, since the kernel ends runners with the thread that started them.
    """

    def __init__(
        self,
        host: Host,
        slot: int,
        device: Device,
        command: Sequence[str],
        on_end: Callable[[], None],
    ) -> None:
        """``on_end`` is called, from another thread, when a runner ends."""
        self.current: WatchedRunner | None = None
        self._standby: WatchedRunner | None = None
        self._host = host
        self._slot = slot
        self._device = device
        self._command = command
        self._on_end = on_end
        self._started = 0
        self._mishaps = 0
        self._not_before_s = host.clock()

    def warm_up(self, pass_fds: Sequence[int] = ()) -> WatchedRunner:
        """A living runner: the standby, or one started now, if there is none. Raises OSError."""
        if self.current is not None and not self.current.is_alive:
            self.retire()
        if self.current is None:
            self._look_after_standby()
            self.current, self._standby = self._standby, None
        if self.current is None:
            self.current = self._start(pass_fds)
        return self.current

    def prepare_standby(self, pass_fds: Sequence[int] = ()) -> None:
        """Start one if it is wanted, there is none, and the runner itself has its imports done.

        One that cannot be started, or does not live, is tried again ever more seldom.
        """
        self._look_after_standby()
        ready = self.current is not None and self.current.is_ready
        wanted = self._host.settings.standby and self._standby is None and ready
        if wanted and self._host.clock() >= self._not_before_s:
            try:
                self._standby = self._start(pass_fds)
            except OSError as error:
                logger.warning("slot %d: no standby could be started: %s", self._slot, error)
                self._wait_longer()

    def is_worn(self) -> bool:
        """Whether the runner has done enough; it then says why itself."""
        runner, settings = self.current, self._host.settings
        if runner is None or runner.must_retire is not None:
            return runner is not None
        if runner.trials_served >= settings.trials_per_runner:
            runner.must_retire = f"it served {runner.trials_served} trials"
        elif runner.growth_mb > settings.runner_growth_mb:
            runner.must_retire = f"it grew by {runner.growth_mb:,.0f} MiB"
        return runner.must_retire is not None

    def retire(self) -> WatchedRunner | None:
        """End the runner; the one that ended, or that cannot be ended."""
        runner = self.current
        if runner is not None:
            why = runner.must_retire or ("it is not needed" if runner.is_alive else "it ended")
            try:
                runner.retire()
            finally:
                # Not before: until it has ended it may hold memory that other slots must know of.
                self.current = None
            logger.info("slot %d: runner %d retired: %s", self._slot, runner.pid, why)
        return runner

    def retire_standby(self) -> None:
        """End the standby too."""
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.retire()

    def _look_after_standby(self) -> None:
        if self._standby is None:
            return
        if not self._standby.is_alive:
            logger.warning("slot %d: its standby ended", self._slot)
            self.retire_standby()
            self._wait_longer()
        elif self._standby.is_ready:
            self._mishaps = 0

    def _wait_longer(self) -> None:
        pause_s = min(FIRST_PAUSE_S * 2.0**self._mishaps, LONGEST_PAUSE_S)
        self._not_before_s = self._host.clock() + pause_s
        self._mishaps = min(self._mishaps + 1, 16)

    def _start(self, pass_fds: Sequence[int]) -> WatchedRunner:
        # The two that live at once have a home each, in turn.
        self._started += 1
        home = self._host.scratch.slot_folder(self._slot) / f"home-{self._started % 2}"
        return WatchedRunner(
            self._device,
            home,
            self._host.settings.memory_limit_mb,
            self._host.clock,
            self._on_end,
            self._command,
            pass_fds,
            self._host.lease_clock,
        )
