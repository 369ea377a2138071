"""A slot's runner, another one that waits to take its place, and the GPU that both share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.devices import Device
from worker.gpu_lock import GpuLock
from worker.host import Host
from worker.watched import WatchedRunner

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 600.0


class Runners:
    """The runner that a slot works with, and its standby.

    An import of TensorFlow takes seconds. The standby did that while the other was at work: a
    runner that is replaced, or that a trial broke, costs the slot no waiting. To be used from the
    slot's thread alone, since the kernel ends runners with the thread that started them; only
    `lend_standby` is for others.

    Both share the slot's lock on its GPU: as long as one of the three lives, the GPU is taken.
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
        self.gpu_lock = _open_lock(host, device)
        """None for a slot on the processor."""
        self._standby: WatchedRunner | None = None
        self._lent: WatchedRunner | None = None
        self._changing = threading.Lock()
        self._host = host
        self._slot = slot
        self._device = device
        self._command = command
        self._on_end = on_end
        self._started = 0
        self._mishaps = 0
        self._not_before_s = host.clock()

    def warm_up(self) -> WatchedRunner:
        """A living runner: the standby, or one started now, if there is none. Raises OSError."""
        if self.current is not None and not self.current.is_alive:
            self.retire()
        if self.current is None:
            self._look_after_standby()
            with self._changing:
                self.current, self._standby = self._standby, None
        if self.current is None:
            self.current = self._start()
        return self.current

    def prepare_standby(self) -> None:
        """Start one if it is wanted, there is none, and the runner itself has its imports done.

        One that cannot be started, or does not live, is tried again ever more seldom.
        """
        self._look_after_standby()
        ready = self.current is not None and self.current.is_ready
        wanted = self._host.settings.standby and self._standby is None and ready
        if wanted and self._host.clock() >= self._not_before_s:
            try:
                self._standby = self._start()
            except OSError as error:
                logger.warning("slot %d: no standby could be started: %s", self._slot, error)
                self._wait_longer()

    def lend_standby(self) -> WatchedRunner | None:
        """Give the standby away for good, from any thread; None when there is none to spare.

        The slot starts another one. It lends one at a time, and none that could see its GPU.
        """
        with self._changing:
            standby = self._standby
            if standby is None or self._device.kind != "cpu":
                return None
            if not standby.is_ready or not standby.is_alive:
                return None
            if self._lent is not None and self._lent.is_alive:
                return None
            self._standby, self._lent = None, standby
            return standby

    def take_the_gpu(self) -> bool:
        """Take the GPU's lock; False when another labpool's trial has it. Raises OSError."""
        lock = self.gpu_lock
        if lock is None or lock.acquire():
            return True
        if not lock.is_stale:
            return False
        logger.warning("slot %d: the lock of its GPU was removed; it is made anew", self._slot)
        # The runners share the file that is gone.
        self.retire_all()
        self._renew_lock()
        self.warm_up()
        return self.gpu_lock is None or self.gpu_lock.acquire()

    def let_go_of_the_gpu(self) -> None:
        """Release its lock."""
        if self.gpu_lock is not None:
            self.gpu_lock.release()

    @property
    def shared(self) -> tuple[int, ...]:
        """The file that whoever works on the GPU for this slot has open."""
        return () if self.gpu_lock is None else (self.gpu_lock.descriptor,)

    def retire_if_worn(self) -> None:
        """End the runner if it has done enough, or has ended by itself."""
        if self.current is not None and (self._is_worn(self.current) or not self.current.is_alive):
            self.retire()

    def retire(self) -> None:
        """End the runner. One that cannot be ended keeps the GPU, and the slot waits for it."""
        runner = self.current
        if runner is None:
            return
        why = runner.must_retire or ("it is not needed" if runner.is_alive else "it ended")
        try:
            runner.retire()
        finally:
            # Not before: until it has ended it may hold memory that other slots must know of.
            self.current = None
        logger.info("slot %d: runner %d retired: %s", self._slot, runner.pid, why)
        if runner.is_stuck and self.gpu_lock is not None:
            logger.error("slot %d: runner %d keeps the GPU", self._slot, runner.pid)
            # It shares the lock.
            self.retire_standby()
            self._renew_lock()

    def retire_all(self) -> None:
        """End the runner and the standby."""
        self.retire()
        self.retire_standby()

    def retire_standby(self) -> None:
        """End the standby too."""
        with self._changing:
            standby, self._standby = self._standby, None
        if standby is not None:
            standby.retire()

    def _is_worn(self, runner: WatchedRunner) -> bool:
        """Whether it has done enough; it then says why itself."""
        settings = self._host.settings
        if runner.must_retire is None and runner.trials_served >= settings.trials_per_runner:
            runner.must_retire = f"it served {runner.trials_served} trials"
        if runner.must_retire is None and (grown := runner.grown_mb()) > settings.runner_growth_mb:
            runner.must_retire = f"it grew by {grown:,.0f} MiB"
        return runner.must_retire is not None

    def _renew_lock(self) -> None:
        old, self.gpu_lock = self.gpu_lock, _open_lock(self._host, self._device)
        if old is not None:
            old.close()

    def _look_after_standby(self) -> None:
        standby = self._standby
        if standby is None:
            return
        if not standby.is_alive:
            logger.warning("slot %d: its standby ended", self._slot)
            self.retire_standby()
            self._wait_longer()
        elif standby.is_ready:
            self._mishaps = 0

    def _wait_longer(self) -> None:
        pause_s = min(FIRST_PAUSE_S * 2.0**self._mishaps, LONGEST_PAUSE_S)
        self._not_before_s = self._host.clock() + pause_s
        self._mishaps = min(self._mishaps + 1, 16)

    def _start(self) -> WatchedRunner:
        return WatchedRunner(
            self._device,
            self._free_home(),
            self._host.settings.memory_limit_mb,
            self._host.clock,
            self._on_end,
            self._command,
            self.shared,
            self._host.lease_clock,
        )

    def _free_home(self) -> Path:
        """The three that live at once have a home each, in turn."""
        folder = self._host.scratch.slot_folder(self._slot)
        living = (self.current, self._standby, self._lent)
        taken = {one.home for one in living if one is not None and one.is_alive}
        while True:
            self._started += 1
            home = folder / f"home-{self._started % 3}"
            if home not in taken:
                return home


def _open_lock(host: Host, device: Device) -> GpuLock | None:
    if device.gpu_uuid is None or host.gpu_locks is None:
        return None
    return GpuLock(device.gpu_uuid, host.gpu_locks, device.share, device.shares)
